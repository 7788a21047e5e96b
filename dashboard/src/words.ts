// Plain words for statuses, reasons and error classes.
import type { ErrorClass, Priority, Range, Reason, Status, Term } from './api';

export const statusWords: Record<Status, string> = {
  scheduled: 'Scheduled',
  blocked: 'Blocked',
  queued: 'Queued',
  running: 'Running',
  completed: 'Completed',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

/** Why a task waits. */
export const reasonWords: Record<Reason, string> = {
  dependency: 'waiting for another task',
  scheduled: 'not due yet',
  backoff: 'waiting to be retried',
  paused: 'profile is disabled',
  node: 'waiting for its node',
  cooldown: 'profile is cooling down',
  unhealthy: 'profile is unhealthy: one task at a time',
  slots: 'waiting for a free slot',
  no_worker: 'waiting for a worker',
};

/** What an error's class says about the attempt. */
const classWords: Record<ErrorClass, string> = {
  exit: 'The program failed',
  signal: 'The program was killed by a signal',
  timeout: 'Timed out',
  stall: 'The agent was silent for too long',
  refusal: 'The agent declined',
  limit: 'The agent reached one of its own limits',
  auth: 'The profile needs a login',
  rate_limit: 'The provider asked to slow down',
  unavailable: 'The profile was unavailable',
  interrupted: 'acpd stopped while it was running',
  lost_lease: 'The worker did not report back in time',
  cancelled: 'Cancelled',
  invalid: 'The task is invalid',
};

/** The same for any class, including those of a newer acpd. */
export const classWord = (name: string) => (classWords as Record<string, string>)[name] ?? name;

export const termWords: Record<Term, string> = {
  capability: 'how specialised the profile is',
  load: 'how soon the task would be done',
  history: 'how often it succeeded recently',
  priority: 'the priority of the profile',
};

export const priorityWords: Record<Priority, string> = { high: 'High', medium: 'Medium', low: 'Low' };

export const rangeWords: Record<Range, string> = {
  '1h': 'last hour',
  '24h': 'last 24 hours',
  '7d': 'last 7 days',
};

export const bucketWords: Record<Range, string> = { '1h': 'minute', '24h': '15 minutes', '7d': 'hour' };
