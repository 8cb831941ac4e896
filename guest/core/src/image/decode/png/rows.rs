//! Pixel rows out of the image data of a PNG, which the `png` crate unpacks into a window of ours: that is how rows can
//! be unfiltered faster than the crate does it where the compiler does not let it use vector instructions.

use ::png::{Decoded, StreamingDecoder, UnfilterRegion};

use super::unfilter::unfilter;
use super::{broken, cut_off};
use crate::image::decode::DecodeError;

/// How far back the data may refer to itself: it must stay in the window (RFC 1950, 2.2).
const LOOK_BACK: usize = 32 << 10;

/// What is unpacked before the window is moved on: many times what is kept, yet little enough to stay near the processor.
const STEP: usize = 128 << 10;

/// Fills `out` with rows of `stride` bytes; `bpp` is bytes per pixel, or 1 where pixels are smaller. The decoder is at
/// the beginning of the image data, `bytes` what comes next.
pub(super) fn read(
    decoder: &mut StreamingDecoder,
    mut bytes: &[u8],
    (stride, bpp): (usize, usize),
    out: &mut [u8],
) -> Result<(), DecodeError> {
    let unfilter = match bpp {
        1 => unfilter::<1, 4>,
        2 => unfilter::<2, 8>,
        3 => unfilter::<3, 12>,
        _ => unfilter::<4, 16>,
    };
    let filtered = stride + 1;
    // No more than these rows is unpacked: what comes after them may be broken.
    let mut packed = out.len() / stride * filtered;
    let mut window = vec![0; packed.min(LOOK_BACK + 2 * filtered + STEP)];
    let mut region = UnfilterRegion::default();
    // Where the first row begins that is not unfiltered yet.
    let mut start = 0;
    let zeros = vec![0; stride];
    let mut done = 0;
    while done < out.len() {
        if region.filled == window.len() {
            let gone = region.available.min(start);
            window.copy_within(gone.., 0);
            region.filled -= gone;
            region.available -= gone;
            start -= gone;
            window.truncate(region.filled + packed);
        }
        let filled = region.filled;
        let (used, what) = decoder
            .update(bytes, Some(&mut region.as_buf(&mut window)))
            .map_err(|err| broken(&err))?;
        bytes = &bytes[used..];
        packed -= region.filled - filled;
        let left = (out.len() - done) / stride;
        let mut rows = ((region.filled - start) / filtered).min(left);
        if rows < left {
            // Two at once are faster.
            rows &= !1;
            if matches!(what, Decoded::ImageDataFlushed) || used == 0 && bytes.is_empty() {
                return Err(cut_off());
            }
        }
        if rows == 0 {
            continue;
        }
        let (before, now) = out.split_at_mut(done);
        let above = before.len().checked_sub(stride).map_or(&zeros[..], |at| &before[at..]);
        let end = start + rows * filtered;
        unfilter(&window[start..end], above, &mut now[..rows * stride]).map_err(|err| broken(&err))?;
        start = end;
        done += rows * stride;
    }
    Ok(())
}
