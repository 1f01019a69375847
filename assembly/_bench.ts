export * from "./index";
import { mempool_alloc as ma, mempool_free as mf } from "./mempool";
import { allocInline as poolAlloc, freeInline as poolFree } from "./mempool";
import { Pool } from "./layout";
export function pair(pp: usize, n: i32): void { const p = changetype<Pool>(pp); for (let i = 0; i < n; i++) { let a = poolAlloc(p); store<i32>(a, i, 8); poolFree(p, a); } }
export function pairCall(pp: usize, n: i32): void { for (let i = 0; i < n; i++) { let a = ma(changetype<Pool>(pp)); store<i32>(a, i, 8); mf(changetype<Pool>(pp), a); } }
export function wave(pp: usize, n: i32, k: i32, buf: usize): void { for (let j = 0; j < n; j++) { for (let i = 0; i < k; i++) store<usize>(buf + (i << 2), poolAlloc(changetype<Pool>(pp))); for (let i = 0; i < k; i++) poolFree(changetype<Pool>(pp), load<usize>(buf + (i<<2))); } }
export function churn(pp: usize, n: i32, live: i32, buf: usize): void { let x: u32 = 12345; for (let i = 0; i < n; i++) { x = x*1103515245+12345; let k = buf + (((x>>8)&(live-1)) << 2); let o = load<usize>(k); if (o) poolFree(changetype<Pool>(pp), o); store<usize>(k, poolAlloc(changetype<Pool>(pp))); } }
