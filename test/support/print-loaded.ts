/** Preloaded into a process: says on stderr which parts of OpenTelemetry it loads. */
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const [, name] = /node_modules\/(@opentelemetry\/[^/]+)/.exec(found.url) ?? [];
    if (name) process.stderr.write(`loaded ${name}\n`);
    return found;
  },
});
