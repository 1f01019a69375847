use crate::{ffi, Error, Full};
use core::borrow::{Borrow, BorrowMut};
use core::fmt;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop, MaybeUninit};
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::ptr::{self, NonNull};

/// The backend of slabs.
const SLAB: u32 = 0;
const NO_LIMIT: u32 = u32::MAX;

/// A pool of values of one type, with a reserve: `min_nr` elements are set aside, and given when memory is gone.
///
/// ```
/// # #[global_allocator] static ALLOCATOR: wasm_mempool::Mempool = wasm_mempool::Mempool;
/// use wasm_mempool::Pool;
///
/// struct Request { sector: u64, done: bool }
///
/// let requests = Pool::try_new(16)?;
/// let mut request = requests.try_alloc(Request { sector: 7, done: false })?;
/// request.done = true;
/// assert_eq!((request.sector, requests.outstanding()), (7, 1));
/// drop(request);
/// assert_eq!(requests.outstanding(), 0);
/// # Ok::<(), wasm_mempool::Error>(())
/// ```
///
/// A pool that is dropped allocates nothing more; elements that are outstanding stay valid, and the last one that is dropped
/// returns all memory. A pool and its elements belong to one thread: they are neither `Send` nor `Sync`.
pub struct Pool<T> {
    handle: u32,
    /// No thread but this one may use the handle.
    of: PhantomData<*const T>,
}

impl<T> Pool<T> {
    /// A pool with `min_nr` elements (up to 2^28) in its reserve. [`Error::BadArgument`] also if a `T` has more than 2^24
    /// bytes, or an alignment above 4,096. O(min_nr).
    pub fn try_new(min_nr: u32) -> Result<Pool<T>, Error> {
        Pool::try_with_limit(min_nr, NO_LIMIT)
    }

    /// The same, with at most `max_nr` elements in the reserve, cached and outstanding together.
    pub fn try_with_limit(min_nr: u32, max_nr: u32) -> Result<Pool<T>, Error> {
        let size = mem::size_of::<T>().max(1) as u32;
        let align = mem::align_of::<T>() as u32;
        match unsafe { ffi::mempool_create(size, align, min_nr, max_nr, SLAB) } {
            0 => Err(Error::of(unsafe { ffi::heap_error() })),
            handle => Ok(Pool { handle, of: PhantomData }),
        }
    }

    /// An element that holds `value`; or the value, in [`Full`]. O(1).
    pub fn try_alloc(&self, value: T) -> Result<PoolBox<T>, Full<T>> {
        match self.element() {
            Some(element) => {
                unsafe { element.as_ptr().write(value) };
                Ok(PoolBox { element, pool: self.handle, of: PhantomData })
            }
            None => Err(Full(value)),
        }
    }

    /// An element that is to be written in place; for a `T` that is large.
    ///
    /// ```
    /// # #[global_allocator] static ALLOCATOR: wasm_mempool::Mempool = wasm_mempool::Mempool;
    /// use wasm_mempool::{Pool, PoolBox};
    ///
    /// let frames: Pool<[u8; 1 << 20]> = Pool::try_new(2)?;
    /// let mut frame = frames.try_alloc_uninit().unwrap();
    /// let frame = unsafe {
    ///     frame.as_mut_ptr().write_bytes(0, 1);
    ///     PoolBox::assume_init(frame)
    /// };
    /// assert_eq!(frame[9], 0);
    /// # Ok::<(), wasm_mempool::Error>(())
    /// ```
    pub fn try_alloc_uninit(&self) -> Option<PoolBox<MaybeUninit<T>>> {
        let element = self.element()?.cast();
        Some(PoolBox { element, pool: self.handle, of: PhantomData })
    }

    fn element(&self) -> Option<NonNull<T>> {
        NonNull::new(unsafe { ffi::mempool_alloc(self.handle) }.cast())
    }

    /// An element for each of the values; or all values, and the pool is as it was.
    ///
    /// ```
    /// # #[global_allocator] static ALLOCATOR: wasm_mempool::Mempool = wasm_mempool::Mempool;
    /// let pool = wasm_mempool::Pool::try_new(3)?;
    /// let [a, b, c] = pool.try_alloc_bulk([1, 2, 3])?;
    /// assert_eq!(*a + *b + *c, 6);
    /// # Ok::<(), wasm_mempool::Error>(())
    /// ```
    pub fn try_alloc_bulk<const N: usize>(&self, values: [T; N]) -> Result<[PoolBox<T>; N], Full<[T; N]>> {
        let mut addresses = [ptr::null_mut(); N];
        if unsafe { ffi::mempool_alloc_bulk(self.handle, addresses.as_mut_ptr(), N as u32) } == 0 {
            return Err(Full(values));
        }
        let mut at = addresses.iter();
        Ok(values.map(|value| {
            let element = at.next().map_or(ptr::null_mut(), |address| *address).cast::<T>();
            // SAFETY: a bulk call that succeeds has filled the array.
            unsafe {
                element.write(value);
                PoolBox { element: NonNull::new_unchecked(element), pool: self.handle, of: PhantomData }
            }
        }))
    }

    /// Sets the reserve's target. O(change).
    pub fn resize(&self, min_nr: u32) -> Result<(), Error> {
        Error::check(unsafe { ffi::mempool_resize(self.handle, min_nr) })
    }

    /// Elements in the reserve.
    pub fn reserved(&self) -> u32 {
        unsafe { ffi::mempool_curr_nr(self.handle) }
    }

    /// The reserve's target.
    pub fn min_nr(&self) -> u32 {
        unsafe { ffi::mempool_min_nr(self.handle) }
    }

    /// Elements outstanding.
    pub fn outstanding(&self) -> u32 {
        unsafe { ffi::mempool_outstanding(self.handle) }
    }
}

impl<T> Drop for Pool<T> {
    fn drop(&mut self) {
        unsafe { ffi::mempool_exit(self.handle) };
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("min_nr", &self.min_nr())
            .field("reserved", &self.reserved())
            .field("outstanding", &self.outstanding())
            .finish()
    }
}

/// A value in an element of a [`Pool`]. It derefs to the value, never moves it, and frees the element when it is dropped:
/// O(1). It may outlive the pool.
pub struct PoolBox<T> {
    element: NonNull<T>,
    /// The pool's handle: valid while an element is outstanding.
    pool: u32,
    of: PhantomData<T>,
}

impl<T> PoolBox<T> {
    /// The value; its element is free.
    pub fn into_inner(this: Self) -> T {
        let this = ManuallyDrop::new(this);
        // SAFETY: the value is read once, and the box is not dropped.
        unsafe {
            let value = this.element.as_ptr().read();
            free(this.element, this.pool);
            value
        }
    }

    /// The value never moves: it may be pinned.
    pub fn into_pin(this: Self) -> Pin<Self> {
        // SAFETY: the element stays where it is until the value is dropped.
        unsafe { Pin::new_unchecked(this) }
    }

    /// The value, for as long as the program runs: its element is never freed.
    pub fn leak<'a>(this: Self) -> &'a mut T
    where
        T: 'a,
    {
        unsafe { &mut *ManuallyDrop::new(this).element.as_ptr() }
    }
}

impl<T> PoolBox<MaybeUninit<T>> {
    /// The element, with what was written to it.
    ///
    /// # Safety
    /// It holds a `T`.
    pub unsafe fn assume_init(this: Self) -> PoolBox<T> {
        let this = ManuallyDrop::new(this);
        PoolBox { element: this.element.cast(), pool: this.pool, of: PhantomData }
    }
}

unsafe fn free<T>(element: NonNull<T>, pool: u32) {
    let code = ffi::mempool_free(pool, element.as_ptr().cast());
    debug_assert!(code >= 0, "no code of a refusal: {code}");
}

impl<T> Drop for PoolBox<T> {
    fn drop(&mut self) {
        // SAFETY: the element holds a value, and is outstanding.
        unsafe {
            ptr::drop_in_place(self.element.as_ptr());
            free(self.element, self.pool);
        }
    }
}

impl<T> Deref for PoolBox<T> {
    type Target = T;
    fn deref(&self) -> &T {
        unsafe { self.element.as_ref() }
    }
}

impl<T> DerefMut for PoolBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        unsafe { self.element.as_mut() }
    }
}

impl<T> AsRef<T> for PoolBox<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T> AsMut<T> for PoolBox<T> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T> Borrow<T> for PoolBox<T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T> BorrowMut<T> for PoolBox<T> {
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for PoolBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for PoolBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
