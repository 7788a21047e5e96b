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
      <p>A profile says who does a kind of work. Name one in acpd’s configuration file and reload it.</p>
      <pre tabIndex={0}>{example}</pre>
    </Blank>
  );
}
