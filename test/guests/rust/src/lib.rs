//! Checks of the crate, by name; each answers with what it saw. As a module for a host, too: `check` of an index.
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error as StdError;
use std::fmt::Write;
use std::rc::Rc;
use wasm_mempool::{left, reserve, trim, Error, Mempool, Pool, PoolBox};

#[global_allocator]
static ALLOCATOR: Mempool = Mempool;

type Outcome = Result<String, Box<dyn StdError>>;
const CHECKS: [(&str, fn() -> Outcome); 12] = [
    ("collections", collections),
    ("large", large),
    ("aligned", aligned),
    ("small alignments", small_alignments),
    ("zeroed", zeroed),
    ("full", full),
    ("reserve", reserved),
    ("pool", pool),
    ("pool drops", pool_drops),
    ("pool full", pool_full),
    ("pool late", pool_late),
    ("pool arguments", pool_arguments),
];

pub fn run(name: &str) -> String {
    let (_, check) = CHECKS.iter().find(|(each, _)| *each == name).expect("a check's name");
    check().unwrap_or_else(|error| format!("error: {error}"))
}

/// Runs a check; the address of two words: where its answer is, and how long.
#[no_mangle]
pub extern "C" fn check(index: usize) -> *const [usize; 2] {
    let answer = Box::leak(run(CHECKS[index].0).into_boxed_str());
    Box::leak(Box::new([answer.as_ptr() as usize, answer.len()]))
}

/// A free of an address that is no block.
#[no_mangle]
pub unsafe extern "C" fn bad_free(twice: bool) {
    let layout = std::alloc::Layout::new::<[u64; 9]>();
    let block = std::alloc::alloc(layout);
    std::alloc::dealloc(if twice { block } else { block.add(16) }, layout);
    std::alloc::dealloc(block, layout);
}

fn random(seed: &mut u32) -> u32 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    *seed
}

type Shape = Box<dyn Fn(u32) -> u32>;

fn collections() -> Outcome {
    let mut seed = 7;
    let mut map = HashMap::new();
    let mut tree = BTreeMap::new();
    let mut queue = VecDeque::new();
    for i in 0..60_000u32 {
        let key = random(&mut seed) % 5000;
        match i % 3 {
            0 => {
                let text = format!("{key}-{}", "x".repeat(key as usize % 300));
                map.insert(key, text.clone());
                tree.insert(key, text);
            }
            1 => assert_eq!(map.remove(&key), tree.remove(&key)),
            _ => {
                queue.push_back(vec![key; key as usize % 70]);
                if queue.len() > 200 {
                    let list = queue.pop_front().ok_or("no list")?;
                    assert!(list.iter().all(|&each| each as usize % 70 == list.len()));
                }
            }
        }
    }
    for (key, text) in &tree {
        assert_eq!(map.get(key), Some(text));
        assert!(text.starts_with(&format!("{key}-")) && text.ends_with(if key % 300 == 0 { "-" } else { "x" }));
    }
    let shapes: Vec<Shape> = (0..100u32).map(|n| Box::new(move |x: u32| x + n) as Shape).collect();
    let sum: u32 = shapes.iter().map(|shape| shape(1)).sum();
    let mut text = String::new();
    for i in 0..20_000 {
        write!(text, "{i},")?;
    }
    Ok(format!("{} {} {} {}", map.len() == tree.len(), sum, text.len(), text.split(',').count()))
}

/// A Vec that grows beyond 2^24 bytes, and another beside it.
fn large() -> Outcome {
    let mut numbers = Vec::new();
    let mut others = Vec::new();
    for i in 0..10_000_000u32 {
        numbers.push(i);
        if i % 1000 == 0 {
            others.push([i; 9]);
        }
    }
    let right = numbers.iter().enumerate().all(|(i, &n)| i as u32 == n);
    numbers.truncate(3);
    numbers.shrink_to_fit();
    Ok(format!("{right} {:?} {}", numbers, others.iter().all(|each| each[8] % 1000 == 0)))
}

#[repr(align(16))]
#[derive(Clone)]
struct Align16(u8);
#[repr(align(64))]
#[derive(Clone)]
struct Align64(u8);
#[repr(align(4096))]
#[derive(Clone)]
struct Align4096(u8);
#[repr(align(65536))]
#[derive(Clone)]
struct Align65536(u8);

fn aligned() -> Outcome {
    fn grown<T: Clone>(one: T, byte: fn(&T) -> u8) -> bool {
        let mut all = Vec::new();
        let mut between = Vec::new();
        let align = std::mem::align_of::<T>();
        (1..200usize).all(|i| {
            all.push(one.clone());
            between.push(vec![1u8; i]);
            all.as_ptr() as usize % align == 0 && all.iter().all(|each| byte(each) == 5)
        })
    }
    Ok(format!(
        "{} {} {} {}",
        grown(Align16(5), |each| each.0),
        grown(Align64(5), |each| each.0),
        grown(Align4096(5), |each| each.0),
        grown(Align65536(5), |each| each.0)
    ))
}

/// Blocks that have fewer bytes than their alignment, through every call.
fn small_alignments() -> Outcome {
    use std::alloc::{alloc, dealloc, realloc, Layout};
    let mut bad = 0;
    for align in [1, 2, 4, 8, 16, 32, 1024, 8192] {
        for bytes in [1, 7, 8, 9, 16, 17, 100] {
            unsafe {
                let layout = Layout::from_size_align(bytes, align)?;
                let blocks: Vec<*mut u8> = (0..20).map(|_| alloc(layout)).collect();
                for (i, block) in blocks.into_iter().enumerate() {
                    block.write(i as u8);
                    let longer = realloc(block, layout, 300);
                    let shorter = realloc(longer, Layout::from_size_align(300, align)?, bytes);
                    bad += [block, longer, shorter].iter().filter(|&&at| at as usize % align != 0).count();
                    bad += usize::from(shorter.read() != i as u8);
                    dealloc(shorter, layout);
                }
            }
        }
    }
    Ok(format!("{bad}"))
}

fn zeroed() -> Outcome {
    let clean = |bytes: usize| {
        drop(vec![255u8; bytes]);
        vec![0u8; bytes].iter().all(|&byte| byte == 0)
    };
    let wide = {
        drop(vec![255u128; 40]);
        vec![0u128; 40].iter().all(|&each| each == 0)
    };
    Ok(format!("{} {} {} {wide}", clean(30), clean(5000), clean(100_000)))
}

/// Takes all memory in blocks of these sizes. The list has its memory before.
fn take_all(sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut all = Vec::with_capacity(1 << 17);
    for &bytes in sizes {
        take(&mut all, bytes);
    }
    all
}

/// As many blocks as there are, or as the list has room for; how many.
fn take(all: &mut Vec<Vec<u8>>, bytes: usize) -> usize {
    let before = all.len();
    while all.len() < all.capacity() {
        let mut block = Vec::new();
        if block.try_reserve_exact(bytes).is_err() {
            break;
        }
        all.push(block);
    }
    all.len() - before
}

/// No memory: the program goes on, and has it all again.
fn full() -> Outcome {
    let mut one: Vec<u8> = Vec::new();
    let too_much = one.try_reserve(usize::MAX / 2).is_err();
    let all = take_all(&[1 << 20, 1000]);
    let refused = one.try_reserve(1 << 20).is_err() && left() < 300;
    let counts = (all.len() > 200, all[20].capacity() == 1 << 20);
    drop(all);
    trim();
    let again = take_all(&[1 << 20]).len() > 20;
    Ok(format!("{too_much} {refused} {counts:?} {again} {}", left() > 5000))
}

fn reserved() -> Outcome {
    reserve(600, 40)?;
    reserve(50_000, 2)?;
    let mut large = Vec::with_capacity(10);
    let mut small = Vec::with_capacity(1000);
    let all = take_all(&[1 << 20, 1 << 16, 4096, 1000, 100]);
    let counts = (take(&mut large, 50_000), take(&mut small, 600) >= 40);
    small.truncate(small.len() - 7);
    let again = (take(&mut small, 600), large.pop().is_some(), take(&mut large, 49_000));
    drop((all, large, small));
    reserve(600, 0)?;
    reserve(50_000, 0)?;
    let refused = (reserve(0, 1), reserve(1 << 25, 1), reserve(1000, 1 << 20));
    reserve(1000, 0)?;
    Ok(format!("{counts:?} {again:?} {refused:?}"))
}

struct Counted(Rc<Cell<u32>>, u64);
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn pool() -> Outcome {
    let pool = Pool::try_new(4)?;
    let mut texts = Vec::new();
    for i in 0..1000 {
        texts.push(pool.try_alloc(format!("text {i}"))?);
    }
    texts[3].push('!');
    let apart = texts.iter().map(|text| &**text as *const String as usize).collect::<std::collections::HashSet<_>>();
    let answer = format!("{} {} {} {pool:?}", texts[3], texts.len(), apart.len());
    texts.truncate(10);
    let [a, b] = pool.try_alloc_bulk(["a".to_string(), "b".to_string()])?;
    let inner = PoolBox::into_inner(a) + &b;
    let pinned = PoolBox::into_pin(b);
    let empty: Pool<()> = Pool::try_new(0)?;
    let nothing = [empty.try_alloc(())?, empty.try_alloc(())?];
    pool.resize(9)?;
    let aligned = Pool::<Align4096>::try_new(1)?.try_alloc(Align4096(3))?;
    Ok(format!(
        "{answer} {inner} {pinned} {} {} {} {}",
        nothing.len(),
        pool.outstanding(),
        pool.reserved(),
        &*aligned as *const _ as usize % 4096 + aligned.0 as usize
    ))
}

fn pool_drops() -> Outcome {
    let dropped = Rc::new(Cell::new(0));
    let pool = Pool::try_with_limit(2, 4)?;
    let counted = |n| Counted(dropped.clone(), n);
    let mut held = Vec::new();
    for n in 0..4 {
        held.push(pool.try_alloc(counted(n))?);
    }
    let full = pool.try_alloc(counted(9)).map(|_| ()).unwrap_err();
    let before = dropped.get();
    let back = full.0 .1;
    drop(full);
    let full = dropped.get();
    held.pop();
    let popped = dropped.get();
    let inner = PoolBox::into_inner(held.remove(0));
    let moved = dropped.get();
    drop(inner);
    let two = pool.try_alloc_bulk([counted(1), counted(2)])?;
    let three = pool.try_alloc_bulk([counted(1), counted(2), counted(3)]).map(|_| ()).map_err(|full| full.0.len());
    drop((held, two));
    Ok(format!("{before} {back} {full} {popped} {moved} {three:?} {} {}", dropped.get(), pool.outstanding()))
}

/// With all memory taken, a pool still gives its reserve.
fn pool_full() -> Outcome {
    let pool = Pool::try_new(5)?;
    let mut held: Vec<PoolBox<[u64; 50]>> = Vec::with_capacity(100);
    let all = take_all(&[1 << 20, 1 << 16, 4096, 100]);
    while held.len() < 100 {
        match pool.try_alloc([held.len() as u64; 50]) {
            Ok(element) => held.push(element),
            Err(_) => break,
        }
    }
    let (count, reserved) = (held.len(), pool.reserved());
    let no_pool = Pool::<[u64; 90]>::try_new(3000).map(|_| ()).unwrap_err();
    held.clear();
    drop(all);
    Ok(format!("{} {reserved} {} {no_pool:?}", (5..100).contains(&count), pool.reserved()))
}

/// An element that outlives its pool.
fn pool_late() -> Outcome {
    let mut answers = Vec::with_capacity(4);
    for _ in 0..4 {
        let element = {
            let pool = Pool::try_new(100)?;
            let [_, element] = pool.try_alloc_bulk([[1u64; 500], [2; 500]])?;
            element
        };
        let answer = element[499];
        drop(element);
        trim();
        answers.push((answer, left()));
    }
    Ok(format!("{:?} {}", answers[3].0, answers[1] == answers[3]))
}

fn pool_arguments() -> Outcome {
    Ok(format!(
        "{:?} {:?} {:?} {:?}",
        Pool::<[u8; (1 << 24) + 1]>::try_new(0).map(|_| ()),
        Pool::<Align65536>::try_new(0).map(|_| ()),
        Pool::<u8>::try_with_limit(3, 2).map(|_| ()),
        Pool::<u8>::try_with_limit(3, 3)?.resize(4) == Err(Error::BadArgument),
    ))
}
