//! More threads than a heap has numbers, eight at once, which free what others allocated.
#[cfg(feature = "threads")]
fn main() {
    use std::sync::Mutex;
    static PASSED_ON: Mutex<Vec<Vec<u32>>> = Mutex::new(Vec::new());
    let mut sum = 0;
    for _ in 0..15 {
        let work = |thread: usize| {
            for i in 0..2000 {
                let list = vec![thread as u32; i % 300];
                let mut passed_on = PASSED_ON.lock().unwrap();
                match i % 10 {
                    0 => passed_on.push(list),
                    5 => assert!(passed_on.pop().map_or(true, |list| list.iter().all(|&each| each == list[0]))),
                    _ => {}
                }
            }
            (format!("{thread}"), wasm_mempool::thread())
        };
        let threads: Vec<_> = (0..8).map(|thread| std::thread::spawn(move || work(thread))).collect();
        for thread in threads {
            let (text, number) = thread.join().unwrap();
            sum += text.len();
            // On a machine with much to do, a thread may stand still while it holds the lock.
            while let Err(error) = unsafe { wasm_mempool::reap(number) } {
                assert_eq!(error, wasm_mempool::Error::Busy);
                std::thread::yield_now();
            }
        }
    }
    println!("{sum} threads");
}

#[cfg(not(feature = "threads"))]
fn main() {}
