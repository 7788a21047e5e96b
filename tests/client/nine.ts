// The nine commands by a client whose types are made from the API's document: node nine.js URL PROFILE
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

declare const process: { argv: string[] };

const [, , baseUrl, name = ''] = process.argv;
const client = createClient<paths>({ baseUrl });
const params = { path: { name } };

function must<T>({ data, error }: { data?: T; error?: components['schemas']['Error'] }): T {
  if (data === undefined) throw new Error(error?.error ?? 'nothing came back');
  return data;
}

function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) throw new Error(`${actual} is not ${expected}`);
}

const states = must(await client.GET('/api/profiles/states'));
same(states.map((state) => state.name), [name]);

const state = must(await client.GET('/api/profiles/{name}/state', { params }));
same(state.isActive, true);

const change = must(await client.PUT('/api/profiles/{name}/status', { params, body: { isActive: false } }));
same([change.success, change.state.isActive, change.state.health], [true, false, 'healthy']);

const { task, success } = must(await client.POST('/api/profiles/{name}/assign-task', {
  params, body: { task: { title: 'typed', priority: 'high', capabilities: ['coding'] } },
}));
same([success, task.title, task.status, task.pending?.reason], [true, 'typed', 'queued', 'paused']);

const queue = must(await client.GET('/api/profiles/{name}/queue', { params: { ...params, query: { limit: 5 } } }));
same(queue.map(({ id, priority }) => [id, priority]), [[task.id, 'high']]);

const best = must(await client.POST('/api/profiles/best-for-task', { body: { task: { type: 'coding' } } }));
same([best.bestProfile, best.candidates[0]?.score], [null, 0]);
same(best.candidates[0]?.rejected, 'it is not active');

const metrics = must(await client.GET('/api/profiles/{name}/metrics', { params: { ...params, query: { range: '24h' } } }));
same([metrics.range, metrics.sampleSize, metrics.cost?.currency ?? null], ['24h', 0, null]);

const all = must(await client.GET('/api/profiles/metrics'));
same(all[name]?.range, '1h');

const views = must(await client.GET('/api/profiles/with-states'));
same(views.map((view) => [view.profile.runner.type, view.state.queueSize]), [['worker', 1]]);

const missing = await client.GET('/api/profiles/{name}/state', { params: { path: { name: 'nobody' } } });
same([missing.response.status, missing.error?.code], [404, -32001]);

// What is not declared does not compile.
// @ts-expect-error
same(state.queueLength, undefined);
// @ts-expect-error
const wrong: number = task.title;
same(wrong, 'typed');
// @ts-expect-error
await client.GET('/api/profiles/{name}/queue', { params: { ...params, query: { limit: 'many' } } });
