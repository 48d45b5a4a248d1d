/** Spellings of hosts that no callback may go to. */

/** Private and reserved addresses, as URLs can write them. */
export const PRIVATE_HOSTS = [
  '127.0.0.1',
  '127.1',
  '0x7f000001',
  '0x7f.0.0.1',
  '2130706433',
  '0177.0.0.1',
  '017700000001',
  '%31%32%37.0.0.1',
  '\u2460\u2461\u2466.\u24ea.\u24ea.\u2460',
  '\uff11\uff12\uff17.0.0.1',
  '127\u30020\u30020\u30021',
  '127.0.0.1.',
  '0.0.0.0',
  '0',
  '10.1.2.3',
  '100.100.100.200',
  '168.63.129.16',
  '169.254.169.254',
  '172.31.0.1',
  '192.168.1.1',
  '255.255.255.255',
  '[::]',
  '[::1]',
  '[::127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::ffff:127.0.0.1]',
  '[64:ff9b::a9fe:a9fe]',
  '[2002:7f00:1::]',
  '[fd00:ec2::254]',
  '[fe80::1]',
] as const;

/** Names that only this machine or this network knows. */
export const LOCAL_NAMES = [
  'localhost',
  'LOCALHOST',
  'localhost.',
  'loc\u00adalhost',
  'bot.localhost',
  'metadata.google.internal',
  'printer.local',
  'kubernetes.default.svc.cluster.local.',
  'postgres',
] as const;
