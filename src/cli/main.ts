#!/usr/bin/env node
import { enableCompileCache } from './compile-cache.ts';

// Before anything else is loaded, or its code would be compiled without the cache.
enableCompileCache();
const { runProcess } = await import('./run-process.ts');
await runProcess();
