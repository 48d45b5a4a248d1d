/** The row types of what belongs to workers. `migrations/` says what the columns mean. */
import type { ColumnType, Generated } from 'kysely';

/** jsonb with a default. */
type DefaultJson<T> = ColumnType<T, string | undefined, string>;
/** timestamptz with a default. */
type DefaultTime = ColumnType<Date, Date | string | undefined, Date | string>;

export interface WorkersTable {
  id: string;
  name: string;
  host: string;
  process: string;
  version: string;
  capacity: number;
  max_tasks: number | null;
  labels: Generated<string[]>;
  hardware: DefaultJson<Partial<HardwareColumn>>;
  token_id: string | null;
  providers: DefaultJson<readonly { provider: string; version: string; keyed?: boolean }[]>;
  agents: DefaultJson<
    readonly {
      name: string;
      capabilities: {
        resume: boolean;
        cost: boolean;
        models: boolean;
        messages: ('QUEUE' | 'STEER' | 'INTERRUPT')[];
        questions: boolean;
        permissions: boolean;
      };
      keyed: boolean;
      available: boolean;
      version: string | null;
      reason: string | null;
      remedy: string | null;
    }[]
  >;
  started_at: DefaultTime;
  heartbeat_at: DefaultTime;
  draining_at: Date | null;
  stopped_at: Date | null;
  cordoned_at: Date | null;
  cordoned_by: string | null;
  drain_until: Date | null;
  drain_mode: 'PUT_BACK' | 'LEAVE' | null;
  drained_by: string | null;
  evicted_at: Date | null;
  evicted_by: string | null;
}

interface HardwareColumn {
  cpus: number;
  memoryBytes: number;
  platform: string;
  arch: string;
}

export interface WorkerEnrolmentsTable {
  id: string;
  name: string;
  hash: Buffer;
  labels: string[] | null;
  project_ids: string[] | null;
  created_by: string;
  created_at: DefaultTime;
  expires_at: Date;
  revoked_at: Date | null;
  used_at: Date | null;
  nonce_hash: Buffer | null;
  token_id: string | null;
  worker: ColumnType<EnrolledWorkerColumn | null, string | null | undefined, string | null>;
  refusals: Generated<number>;
}

interface EnrolledWorkerColumn {
  name: string;
  version: string;
  capacity: number;
  labels: string[];
}
