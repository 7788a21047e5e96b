import type { Candidate, Term } from '../api';
import { colorOf, roleOf } from '../store';
import { termWords } from '../words';
import { Bar, Swatch } from './marks';

/** The candidates, with the terms of each score. */
export function RoutingTable({ candidates, best }: { candidates: Candidate[]; best: string | null }) {
  const terms = Object.keys(candidates.find((c) => !c.rejected)?.terms ?? {}) as Term[];
  return (
    <div class="table-wrap" tabIndex={0} role="region" aria-label="Routing decision">
      <table class="grid routing">
        <thead>
          <tr>
            <th scope="col">Profile</th>
            <th scope="col" class="number">Score</th>
            {terms.map((term) => <th scope="col" key={term} title={termWords[term]}>{term}</th>)}
          </tr>
        </thead>
        <tbody>
          {candidates.map((candidate) => (
            <tr key={candidate.name} class={candidate.name === best ? 'is-best' : ''}>
              <th scope="row">
                <span class="who"><Swatch color={colorOf(candidate.name)} isOff={!!candidate.rejected} />{roleOf(candidate.name)}</span>
              </th>
              {candidate.rejected ? (
                <td colSpan={terms.length + 1} class="muted">{candidate.rejected}</td>
              ) : (
                <>
                  <td class="number"><b>{candidate.score.toFixed(3)}</b></td>
                  {terms.map((term) => (
                    <td key={term} class="term">
                      <Bar share={candidate.terms[term] ?? 0} />
                      <span class="sub">{(candidate.terms[term] ?? 0).toFixed(2)}</span>
                    </td>
                  ))}
                </>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
