import { api, type Capacity, type Range } from '../../api';
import { Bar, Swatch } from '../../components/marks';
import { count, duration, NONE, percent } from '../../format';
import { colorOf, roleOf } from '../../store';
import { FIGURES_MS, useLive } from '../../useLive';

function Row({ capacity }: { capacity: Capacity }) {
  const { utilization, recommendedConcurrentTasks: recommended, slots } = capacity;
  const isShort = recommended !== null && recommended > slots;
  return (
    <tr>
      <th scope="row"><span class="who"><Swatch color={colorOf(capacity.name)} />{roleOf(capacity.name)}</span></th>
      <td class="number">{count(capacity.arrivalRate)}/h</td>
      <td class="number">{slots}</td>
      <td>
        {utilization === null ? <span class="muted">no data</span> : (
          <span class="meter">
            <Bar share={utilization} tone={utilization >= 1 ? 'bad' : utilization > 0.85 ? 'warn' : ''} />
            <span>{percent(100 * utilization)}</span>
          </span>
        )}
      </td>
      <td class="number">
        {capacity.predictedWait !== null ? duration(capacity.predictedWait)
          : utilization !== null && utilization >= 1 ? <span class="is-bad">grows</span> : NONE}
      </td>
      <td class="number"><span class={isShort ? 'is-warn' : ''}>{recommended ?? NONE}</span></td>
    </tr>
  );
}

/** The slots needed for the arriving work: M/M/c, by Erlang's formula. */
export function CapacityTable({ range }: { range: Range }) {
  const { data } = useLive(`capacity ${range}`, () => api.capacity(range), FIGURES_MS);
  if (!data?.length) return null;
  return (
    <section class="card table-wrap" tabIndex={0} role="region" aria-label="Capacity">
      <table class="grid">
        <caption>
          Capacity <span class="muted">at the current arrival rate, for a mean wait of at most {duration(data[0]!.targetWait)}</span>
        </caption>
        <thead>
          <tr>
            <th scope="col">Profile</th>
            <th scope="col" class="number">Arrivals</th>
            <th scope="col" class="number">Slots</th>
            <th scope="col">Utilization</th>
            <th scope="col" class="number">Predicted wait</th>
            <th scope="col" class="number">Slots needed</th>
          </tr>
        </thead>
        <tbody>{data.map((capacity) => <Row key={capacity.name} capacity={capacity} />)}</tbody>
      </table>
    </section>
  );
}
