/* Nothing: what is exported comes from the archive. */
