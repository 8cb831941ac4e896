//! The allocator of an instance.
//!
//! An instance allocates a few hundred pieces and is thrown away, so what counts is the price of one piece, and that the
//! memory of a cached tile is there from the start: growing it would cost the host two system calls for every request.

use std::alloc::Layout;
use std::mem::MaybeUninit;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

#[global_allocator]
static ALLOCATOR: TalcSyncCell<Memory, WasmBinning> = TalcSyncCell::new_wasm(Memory { started: false });

/// What a cached tile needs, its bytes included.
const START: usize = 256 << 10;
static mut ARENA: [MaybeUninit<u8>; START] = [MaybeUninit::uninit(); START];

const PAGE: usize = 64 << 10;
/// A map needs many megabytes: they are taken in pieces of at least this size.
const PIECE: usize = 1 << 20;

/// First the arena, then what the host gives.
#[derive(Debug)]
struct Memory {
    started: bool,
}

// SAFETY: `acquire` allocates nothing, and touches the allocator through its argument alone.
unsafe impl Source for Memory {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let (base, size) = if talc.source.started {
            // Room for the piece, its alignment and what the allocator keeps beside it.
            let wanted = layout.size().checked_add(layout.align()).ok_or(())?;
            let pages = wanted.checked_add(PAGE).ok_or(())?.max(PIECE).div_ceil(PAGE);
            let before = core::arch::wasm32::memory_grow::<0>(pages);
            if before == usize::MAX {
                return Err(());
            }
            ((before * PAGE) as *mut u8, pages * PAGE)
        } else {
            talc.source.started = true;
            ((&raw mut ARENA).cast::<u8>(), START)
        };
        // SAFETY: nobody else uses the arena, and pages that were just grown are nobody's.
        unsafe { talc.claim(base, size) }.map(|_end| ()).ok_or(())
    }
}
