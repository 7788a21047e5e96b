import { nodes } from '../store';

/** A node's name, as a link to its own page if it says where that is. */
export function NodeName({ name }: { name: string }) {
  const url = nodes.value.find((node) => node.name === name)?.url;
  return url && /^https?:/.test(url) ? <a href={url}>{name}</a> : <>{name}</>;
}
