import { Blank } from '../../components/Blank';

const example = `{
  "profiles": [
    {
      "name": "development",
      "capabilities": ["coding", "testing"],
      "runner": {"type": "acp", "command": ["gemini", "--acp"]}
    }
  ]
}`;

export function NoProfiles() {
  return (
    <Blank icon="inbox" title="No profiles yet">
      <p>A profile is an agent or program that runs tasks. Add one to acpd’s configuration file and reload it.</p>
      <pre tabIndex={0}>{example}</pre>
    </Blank>
  );
}
