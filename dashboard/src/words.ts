// What statuses, reasons and classes of error mean, in plain words.
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
  dependency: 'waits for another task',
  scheduled: 'not due yet',
  backoff: 'waits to be retried',
  paused: 'profile is disabled',
  cooldown: 'profile cools down',
  unhealthy: 'one at a time: profile is unhealthy',
  slots: 'waits for a free slot',
  no_worker: 'waits for a worker',
};

/** What an error's class says about the attempt. */
const classWords: Record<ErrorClass, string> = {
  exit: 'The program failed',
  signal: 'The program was killed by a signal',
  timeout: 'It took longer than it may',
  stall: 'The agent said nothing for too long',
  refusal: 'The agent declined',
  limit: 'The agent reached a limit of its own',
  auth: 'The profile needs a login',
  rate_limit: 'The provider asked to slow down',
  unavailable: 'The profile could not work at that moment',
  interrupted: 'acpd stopped while it ran',
  lost_lease: 'Its worker did not report back in time',
  cancelled: 'It was cancelled',
  invalid: 'The task cannot work as it is',
};

/** The same for any class, as one that a later acpd has written. */
export const classWord = (name: string) => (classWords as Record<string, string>)[name] ?? name;

export const termWords: Record<Term, string> = {
  capability: 'how specialised the profile is',
  load: 'how soon it would be done',
  history: 'how often it succeeded lately',
  priority: 'how much it is preferred',
};

export const priorityWords: Record<Priority, string> = { high: 'High', medium: 'Medium', low: 'Low' };

export const rangeWords: Record<Range, string> = {
  '1h': 'last hour',
  '24h': 'last 24 hours',
  '7d': 'last 7 days',
};

export const bucketWords: Record<Range, string> = { '1h': 'minute', '24h': '15 minutes', '7d': 'hour' };
