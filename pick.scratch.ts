import pg from 'pg'; import { readFileSync } from 'node:fs'; import { v7 } from 'uuid';
const url = process.argv[2]; const n = Number(process.argv[3] ?? 200);
const c = new pg.Client({ connectionString: url }); await c.connect();
await c.query("create table if not exists one (id uuid primary key, t text)");
const P = '01980000-0000-7000-8000-000000000001';
await c.query("insert into projects (id, slug, name, default_branch, created_by) values ($1,'pick','P','main','b') on conflict do nothing", [P]);
const st = JSON.stringify([{type:'STARTED',data:{workerId:'x'},milestone:true},{type:'PHASE_CHANGED',data:{from:'QUEUED'},milestone:false}]);
const held = '[{"type":"R","data":{}}]'; const W='00000000-0000-7000-8000-000000000001';
await c.query("select claim_builds($1,'{provider:claude-code}',1000,null,60,20,$2,$3)", [W, st, held]);
const pid = (await c.query('select pg_backend_pid() p')).rows[0].p;
const cpu = () => Number(readFileSync(`/proc/${pid}/schedstat`,'utf8').split(' ')[0])/1e3;
const cases: Record<string, number[]> = { insert: [], claim: [], prepared: [], end: [], accept: [], endclaim: [] }; const cpus: Record<string, number> = {};
const time = async (k: string, f: () => Promise<unknown>) => { const b = cpu(), t = performance.now(); const r = await f(); cases[k]!.push(performance.now() - t); cpus[k] = (cpus[k] ?? 0) + cpu() - b; return r as any; };
const accept = async (id: string, key: string | null) => {
  await c.query('begin');
  const num = (await c.query('update projects set build_count = build_count+1 where id=$1 returning build_count', [P])).rows[0].build_count;
  await c.query(`insert into build_audit (id, project_id, number, source, spec, requested_by) values ($1,$2,$3,'API',$4,'b')`, [id, P, num, JSON.stringify({provider:'claude-code',branch:'main',prompt:'x'.repeat(400),...(key?{concurrencyKey:key}:{})})]);
  await c.query('select queue_add_build($1)', [id]); await c.query('commit');
};
const claim = (name?: string) => c.query({ ...(name ? { name } : {}), text: "select * from claim_builds($1,$2,$3,null,60,20,$4,$5)", values: [W, ['provider:claude-code'], 4, st, held] });
const finish = async (id: string) => { await c.query("update build_audit set status='COMPLETED', phase='DONE', lease_until=null, finished_at=now(), result='{}' where id=$1", [id]); };
let prev: string | null = null;
for (let i = 0; i < n; i++) {
  await time('insert', () => c.query({ name: 'ins', text: 'insert into one values ($1,$2)', values: [v7(), 'x'.repeat(100)] }));
  for (const k of ['claim', 'prepared'] as const) {
    const id = v7(); await time('accept', () => accept(id, null));
    const r = await time(k, () => claim(k === 'prepared' ? 'cl' : undefined));
    if (r.rows[0]?.id !== id) throw new Error(`claimed ${JSON.stringify(r.rows)}`);
    await finish(id);
    await time('end', () => c.query({ name: 'rm', text: 'select queue_remove($1)', values: [id] }));
  }
  // two of a key: ends the first and claims the second
  const a = v7(), b = v7(); await accept(a, 'k'); await accept(b, 'k');
  const r1 = await claim('cl'); if (r1.rows.length !== 1) throw new Error('one');
  await finish(a);
  await time('endclaim', async () => { await c.query('begin'); await c.query({ name: 'rm', text: 'select queue_remove($1)', values: [a] }); await c.query('commit'); const r = await claim('cl'); if (r.rows[0]?.id !== b) throw new Error('next'); });
  await finish(b); await c.query({ name: 'rm', text: 'select queue_remove($1)', values: [b] });
}
const q = (x: number[], p: number) => x.toSorted((a, b) => a - b)[Math.floor(x.length * p)]!;
for (const [k, x] of Object.entries(cases)) console.log(k.padEnd(10), 'p50', q(x, .5).toFixed(2), 'p10', q(x, .1).toFixed(2), 'ratio', (q(x, .5) / q(cases.insert!, .5)).toFixed(1), 'cpu', (cpus[k]! / x.length).toFixed(0));
await c.end();
