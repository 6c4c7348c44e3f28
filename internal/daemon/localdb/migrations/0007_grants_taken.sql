-- Meshes for which the list that the TypeScript client keeps was taken over. It is taken over once: later changes are ours.
CREATE TABLE grants_taken (
  mesh_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
