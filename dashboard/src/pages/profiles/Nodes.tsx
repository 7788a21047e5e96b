import { useState } from 'preact/hooks';
import type { AcpdNode } from '../../api';
import { When } from '../../components/marks';
import { NodeName } from '../../components/NodeName';
import { NodePill } from '../../components/Pill';
import { plural } from '../../format';
import { isAway, isFleet, nodes } from '../../store';
import { RetireDialog } from './RetireDialog';

/** In what a node is configured differently from the one that answers. */
function Differences({ settings }: { settings: string[] }) {
  return (
    <details class="sub">
      <summary>configured differently in {plural(settings.length, 'setting')}</summary>
      {settings.map((setting) => <div key={setting}>{setting}</div>)}
    </details>
  );
}

function Item({ node, hasVersion, onRetire }: { node: AcpdNode; hasVersion: boolean; onRetire: () => void }) {
  return (
    <li>
      <div class="who"><b title={node.name}><NodeName name={node.name} /></b><NodePill state={node.state} /></div>
      <div class="sub">
        runs {node.attempts ? plural(node.attempts, 'attempt') : 'nothing'}
        {hasVersion && <>, version {node.version}</>}
        {node.state !== 'running' && <>, last seen <When at={node.lastSeen} /></>}
      </div>
      {node.differs.length > 0 && <Differences settings={node.differs} />}
      {node.state === 'running' && (
        <button type="button" class="button is-small is-danger" aria-label={`Retire ${node.name}`} disabled={isAway.value}
          onClick={onRetire}>Retire</button>
      )}
    </li>
  );
}

/** The acpds that share the store, if there is more than one; those that do not run first. */
export function Nodes() {
  const [retiring, setRetiring] = useState<string | null>(null);
  if (!isFleet.value) return null;
  const listed = [...nodes.value].sort((a, b) => Number(a.state === 'running') - Number(b.state === 'running'));
  const hasVersions = new Set(listed.map((node) => node.version)).size > 1;
  return (
    <section class="card nodes" aria-labelledby="nodes-title">
      <h2 id="nodes-title">Nodes <span class="muted">{listed.length}</span></h2>
      <ul>
        {listed.map((node) => (
          <Item key={node.name} node={node} hasVersion={hasVersions} onRetire={() => setRetiring(node.name)} />
        ))}
      </ul>
      <RetireDialog name={retiring} onClose={() => setRetiring(null)} />
    </section>
  );
}
