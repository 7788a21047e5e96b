// acpd's REST API, typed. `schema` is generated from acpd's OpenAPI document at build time; docs/protocol.md
// documents the members.
import type { components, operations } from './schema';

type Schemas = components['schemas'];
type Json<Message> = Message extends { content: { 'application/json': infer Value } } ? Value : never;
type Replies<Name extends keyof operations> = operations[Name]['responses'];
type Result<Name extends keyof operations> = Json<Replies<Name>[keyof Replies<Name> & (200 | 201)]>;
type Body<Name extends keyof operations> = Json<NonNullable<operations[Name]['requestBody']>>;

export type AcpdNode = Schemas['Node'];
export type Anomaly = Schemas['Anomaly'];
export type Candidate = Schemas['Candidate'];
export type Capacity = Schemas['Capacity'];
export type ErrorClass = Schemas['ErrorClass'];
export type Figures = Schemas['MetricsSum'];
export type Health = Schemas['Health'];
export type HealthState = Schemas['HealthState'];
export type History = Schemas['MetricsHistory'];
export type LogEntry = Schemas['LogEntry'];
export type LogPage = Schemas['LogPage'];
export type Permission = Schemas['Permission'];
export type Priority = Schemas['Priority'];
export type ProfileView = Schemas['ProfileWithState'];
export type Range = Schemas['Range'];
export type Reason = Schemas['PendingReason'];
export type Status = Schemas['TaskStatus'];
export type Task = Schemas['Task'];
export type TaskPage = Schemas['TaskPage'];
export type Term = keyof Schemas['RoutingTerms'];

export type NewTask = Body<'submit_task'>['task'];
export type TaskChange = Body<'update_task'>;

/** An error from the gateway. status 0: the gateway is not reachable. */
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

  /** A temporary failure: nothing was changed. */
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

const READ_MS = 20_000; // timeout of a read, which is then retried

async function call<Name extends keyof operations>(
  verb: string, path: string, body?: Body<Name>,
): Promise<Result<Name>> {
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
    throw new ApiError(0, 'The gateway is not reachable.');
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answer?.error ?? response.statusText, answer?.data);
  return answer as Result<Name>;
}

function query(values: Record<string, string | number | null | undefined>): string {
  const given = Object.entries(values).filter(([, v]) => v !== null && v !== undefined && v !== '');
  const text = new URLSearchParams(given.map(([k, v]) => [k, String(v)])).toString();
  return text && `?${text}`;
}

const name = encodeURIComponent;

type Query<Name extends keyof operations> = NonNullable<operations[Name]['parameters']['query']>;

/** null means omitted. */
export type TaskFilter = { [Name in keyof Query<'list_tasks'>]: Query<'list_tasks'>[Name] | null };

export const api = {
  profiles: () => call<'get_profiles_with_states'>('GET', '/profiles/with-states'),
  health: () => call<'get_health'>('GET', '/health'),
  permissions: () => call<'list_permissions'>('GET', '/permissions'),
  history: (range: Range, profile?: string) =>
    call<'get_metrics_history'>('GET', `/metrics/history${query({ range, name: profile })}`),
  capacity: (range: Range) => call<'get_capacity'>('GET', `/capacity${query({ range })}`),
  queue: (profile: string, limit: number) =>
    call<'get_profile_task_queue'>('GET', `/profiles/${name(profile)}/queue${query({ limit })}`),
  tasks: (filter: TaskFilter) => call<'list_tasks'>('GET', `/tasks${query({ ...filter })}`),
  task: (id: number) => call<'get_task'>('GET', `/tasks/${id}`),
  log: (id: number, attempt: number, after: number) =>
    call<'get_task_log'>('GET', `/tasks/${id}/log${query({ attempt, after })}`),

  setActive: (profile: string, isActive: boolean) =>
    call<'update_profile_status'>('PUT', `/profiles/${name(profile)}/status`, { isActive }),
  best: (task: Body<'get_best_profile_for_task'>['task']) =>
    call<'get_best_profile_for_task'>('POST', '/profiles/best-for-task', { task }),
  assign: (profile: string, task: NewTask) =>
    call<'assign_task_to_profile'>('POST', `/profiles/${name(profile)}/assign-task`, { task }),
  submit: (task: NewTask) => call<'submit_task'>('POST', '/tasks', { task }),
  update: (id: number, change: TaskChange) => call<'update_task'>('PATCH', `/tasks/${id}`, change),
  cancel: (id: number) => call<'cancel_task'>('POST', `/tasks/${id}/cancel`, {}),
  retry: (id: number) => call<'retry_task'>('POST', `/tasks/${id}/retry`, {}),
  answer: (id: string, optionId: string) =>
    call<'answer_permission'>('POST', `/permissions/${name(id)}/answer`, { optionId }),
  retire: (node: string) => call<'retire_node'>('POST', `/nodes/${name(node)}/retire`, {}),
};
