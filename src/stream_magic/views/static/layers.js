/** The row of every node: its longest path from a source; a cache stands beside the first that looks it up, targets at the foot. */
export function layersOf(nodes) {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const depth = new Map();
  const visit = (node, trail) => {
    if (depth.has(node.name)) return depth.get(node.name);
    const above = node.inputs.filter((name) => byName.has(name) && byName.get(name).kind !== "cache" && !trail.has(name));
    const own = above.length ? 1 + Math.max(...above.map((name) => visit(byName.get(name), new Set([...trail, node.name])))) : 0;
    depth.set(node.name, own);
    return own;
  };
  const flowing = nodes.filter((node) => node.kind !== "cache");
  flowing.forEach((node) => visit(node, new Set()));
  const foot = Math.max(0, ...flowing.map((node) => depth.get(node.name)));
  flowing.filter((node) => node.kind === "target").forEach((node) => depth.set(node.name, foot));
  for (const cache of nodes.filter((node) => node.kind === "cache")) {
    const users = flowing.filter((node) => node.lookups.includes(cache.name)).map((node) => depth.get(node.name));
    depth.set(cache.name, users.length ? Math.min(...users) : Math.min(1, foot));
  }
  return depth;
}
