import packageJson from '../../package.json' with { type: 'json' };

/** Of this Slipway: MAJOR.MINOR.PATCH. */
export const VERSION: string = packageJson.version;
