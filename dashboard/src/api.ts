// acpd's REST API, typed. docs/protocol.md of acpd says what each member means.

export type Priority = 'low' | 'medium' | 'high';
export type Status = 'scheduled' | 'blocked' | 'queued' | 'running' | 'completed' | 'failed' | 'cancelled';
export type HealthState = 'healthy' | 'degraded' | 'unhealthy';
export type Range = '1h' | '24h' | '7d';
export type Reason =
  | 'dependency' | 'scheduled' | 'backoff' | 'paused' | 'cooldown' | 'unhealthy' | 'slots' | 'no_worker';

export interface Profile {
  name: string;
  role: string;
  capabilities: string[];
  maxConcurrentTasks: number;
  slots: number;
  priority: number;
  color: string;
  icon: string;
  queueLimit: number;
  overflow: 'reject' | 'reroute' | 'evict';
  timeout: number;
  retry: { maxAttempts: number; backoff: number; maxBackoff: number };
  runner: { type: 'command' | 'acp' | 'worker' };
  isRemoved: boolean;
}

export interface ProfileState {
  name: string;
  isActive: boolean;
  currentTasks: number;
  completedTasks: number;
  failedTasks: number;
  averageProcessingTime: number;
  lastActivity: string | null;
  queueSize: number;
  isProcessing: boolean;
  health: HealthState;
  healthReason: string | null;
  oldestQueuedAge: number | null;
}

export interface ProfileMetrics {
  throughput: number;
  successRate: number;
  averageTaskDuration: number;
  queueWaitTime: number;
  errorRate: number;
  range: Range;
  sampleSize: number;
  p50TaskDuration: number;
  p95TaskDuration: number;
  cost: { amount: number; currency: string; source: string } | null;
}

export interface ProfileView {
  profile: Profile;
  state: ProfileState;
  metrics: ProfileMetrics;
}

export interface Candidate {
  name: string;
  score: number;
  terms: Record<string, number>;
  rejected?: string;
}

export interface Decision {
  bestProfile: string;
  reroutedFrom?: string;
  candidates: Candidate[];
  reason: string;
}

export interface Pending {
  reason: Reason;
  position: number | null;
  eta: string | null;
}

export interface Task {
  id: number;
  profile: string;
  title: string;
  description: string;
  type: string | null;
  capabilities: string[];
  priority: Priority;
  status: Status;
  input: unknown;
  key: string | null;
  submittedBy?: number | null;
  runAt: string | null;
  timeout: number | null;
  maxAttempts: number | null;
  /** What an agent's session is set to; absent in tasks of earlier versions. */
  model?: string | null;
  mode?: string | null;
  options?: Record<string, string> | null;
  dependsOn: number[];
  attempt: number;
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  result: unknown;
  error: { class: string; message: string; tail?: string } | null;
  pending: Pending | null;
  routing: Decision | null;
}

export interface NewTask {
  title: string;
  description?: string;
  type?: string;
  priority?: Priority;
  capabilities?: string[];
  runAt?: string;
}

/** What happened in one span of time; what there is no sample for is null. */
export interface Figures {
  completed: number;
  failed: number;
  cancelled: number;
  retried: number;
  successRate: number | null;
  sampleSize: number;
  averageTaskDuration: number | null;
  p50TaskDuration: number | null;
  p95TaskDuration: number | null;
  queueWaitTime: number | null;
  p50QueueWaitTime: number | null;
  p95QueueWaitTime: number | null;
  maxQueueSize: number;
}

export interface History {
  range: Range;
  bucketSeconds: number;
  buckets: (Figures & { at: string } | null)[];
  total: Figures;
  previous: Figures;
}

export interface Anomaly {
  metric: 'duration' | 'failureRate' | 'arrivalRate';
  direction: 'high' | 'low';
  value: number;
  usual: number;
  limit: number;
  text: string;
}

export interface Health {
  status: HealthState;
  reasons: string[];
  updateInterval: number;
  version: string;
  demo: boolean;
  profiles: Record<string, { health: HealthState; healthReason: string | null; anomalies?: Anomaly[] }>;
}

export interface Capacity {
  name: string;
  slots: number;
  arrivalRate: number;
  averageTaskDuration: number | null;
  utilization: number | null;
  predictedWait: number | null;
  targetWait: number;
  recommendedConcurrentTasks: number | null;
  sampleSize: number;
}

export interface Permission {
  id: string;
  taskId: number;
  attempt: number;
  profile: string;
  toolCall: { title?: string; kind?: string; rawInput?: unknown; locations?: { path: string }[] };
  options: { optionId: string; name: string; kind: string }[];
  askedAt: string;
  deadline: string;
}

export interface LogEntry {
  at: string;
  stream: string;
  text: string;
  continues?: boolean; // the line of its stream's entry before
  truncated?: boolean; // it was longer
  update?: { sessionUpdate?: string; truncated?: boolean };
}

export interface LogPage {
  entries: LogEntry[];
  next: number;
  truncated: boolean;
}

/** An error as the gateway words it. status 0: the gateway could not be reached. */
export class ApiError extends Error {
  readonly status: number;
  readonly field: string | null;
  readonly reason: string | null;

  constructor(status: number, message: string, data?: { field?: string; reason?: string }) {
    super(message);
    this.status = status;
    this.field = data?.field ?? null;
    this.reason = data?.reason ?? null;
  }

  /** Nothing was done, and it may work again soon. */
  get isAway(): boolean {
    return this.status === 0 || this.status === 503;
  }
}

const TOKEN = 'acpd.token';

export const token = {
  get: (): string | null => sessionStorage.getItem(TOKEN),
  set: (value: string): void => sessionStorage.setItem(TOKEN, value),
};

export function authorization(): Record<string, string> {
  const value = token.get();
  return value ? { Authorization: `Bearer ${value}` } : {};
}

const READ_MS = 20_000; // what takes longer is asked again

async function call<T>(verb: string, path: string, body?: unknown): Promise<T> {
  const headers = { ...authorization(), ...(verb === 'GET' ? {} : { 'Content-Type': 'application/json' }) };
  let response: Response;
  try {
    response = await fetch(`/api${path}`, {
      method: verb,
      headers,
      ...(verb === 'GET' && { signal: AbortSignal.timeout(READ_MS) }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, 'The gateway cannot be reached.');
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answer?.error ?? response.statusText, answer?.data);
  return answer as T;
}

function query(values: Record<string, string | number | null | undefined>): string {
  const given = Object.entries(values).filter(([, v]) => v !== null && v !== undefined && v !== '');
  const text = new URLSearchParams(given.map(([k, v]) => [k, String(v)])).toString();
  return text && `?${text}`;
}

const name = encodeURIComponent;

export interface TaskChange {
  priority?: Priority;
  profile?: string;
  runAt?: string | null;
}

export interface TaskFilter {
  profile?: string | null;
  status?: Status | null;
  limit?: number;
  before?: number | null;
}

export const api = {
  profiles: () => call<ProfileView[]>('GET', '/profiles/with-states'),
  health: () => call<Health>('GET', '/health'),
  permissions: () => call<Permission[]>('GET', '/permissions'),
  history: (range: Range, profile?: string) =>
    call<History>('GET', `/metrics/history${query({ range, name: profile })}`),
  capacity: (range: Range) => call<Capacity[]>('GET', `/capacity${query({ range })}`),
  queue: (profile: string, limit: number) =>
    call<Task[]>('GET', `/profiles/${name(profile)}/queue${query({ limit })}`),
  tasks: (filter: TaskFilter) =>
    call<{ tasks: Task[]; next: number | null }>('GET', `/tasks${query({ ...filter })}`),
  task: (id: number) => call<Task>('GET', `/tasks/${id}`),
  log: (id: number, attempt: number, after: number) =>
    call<LogPage>('GET', `/tasks/${id}/log${query({ attempt, after })}`),

  setActive: (profile: string, isActive: boolean) =>
    call<{ state: ProfileState }>('PUT', `/profiles/${name(profile)}/status`, { isActive }),
  best: (task: Partial<NewTask>) =>
    call<{ bestProfile: Profile | null; candidates: Candidate[]; reason: string }>(
      'POST', '/profiles/best-for-task', { task }),
  assign: (profile: string, task: NewTask) =>
    call<{ task: Task }>('POST', `/profiles/${name(profile)}/assign-task`, { task }),
  submit: (task: NewTask) => call<{ task: Task }>('POST', '/tasks', { task }),
  update: (id: number, change: TaskChange) => call<Task>('PATCH', `/tasks/${id}`, change),
  cancel: (id: number) => call<Task>('POST', `/tasks/${id}/cancel`, {}),
  retry: (id: number) => call<Task>('POST', `/tasks/${id}/retry`, {}),
  answer: (id: string, optionId: string) =>
    call<{ success: boolean }>('POST', `/permissions/${name(id)}/answer`, { optionId }),
};
