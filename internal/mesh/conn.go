package mesh

// ConnID numbers a connection within the process that accepted it, from 1.
type ConnID uint64
