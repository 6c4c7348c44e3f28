package local

// checkOwner has nothing to check: the folder's access list keeps others out.
func checkOwner(string) error { return nil }
