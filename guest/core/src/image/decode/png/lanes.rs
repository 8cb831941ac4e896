//! Eight 16 bit lanes: a vector of `simd128` inside WebAssembly, whose instructions need no `unsafe`, and an array
//! elsewhere.

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) use simd128::Lanes;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(super) use array::Lanes;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128 {
    use core::arch::wasm32::{
        i16x8_add, i16x8_extend_low_u8x16, i16x8_gt, i16x8_max, i16x8_min, i16x8_splat, i16x8_sub, u8x16_narrow_i16x8,
        u16x8_shr, u64x2_extract_lane, u64x2_splat, v128, v128_and, v128_bitselect,
    };

    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes(v128);

    impl Lanes {
        #[inline]
        pub(in super::super) fn splat(value: i16) -> Self {
            Self(i16x8_splat(value))
        }

        /// One lane for each byte, the lowest byte first.
        #[inline]
        pub(in super::super) fn widen(bytes: u64) -> Self {
            Self(i16x8_extend_low_u8x16(u64x2_splat(bytes)))
        }

        /// One byte for each lane, which are 0 to 255.
        #[inline]
        pub(in super::super) fn narrow(self) -> u64 {
            u64x2_extract_lane::<0>(u8x16_narrow_i16x8(self.0, self.0))
        }

        #[inline]
        pub(in super::super) fn add(self, other: Self) -> Self {
            Self(i16x8_add(self.0, other.0))
        }

        #[inline]
        pub(in super::super) fn sub(self, other: Self) -> Self {
            Self(i16x8_sub(self.0, other.0))
        }

        #[inline]
        pub(in super::super) fn and(self, other: Self) -> Self {
            Self(v128_and(self.0, other.0))
        }

        /// Half of lanes that are not negative.
        #[inline]
        pub(in super::super) fn half(self) -> Self {
            Self(u16x8_shr(self.0, 1))
        }

        #[inline]
        pub(in super::super) fn min(self, other: Self) -> Self {
            Self(i16x8_min(self.0, other.0))
        }

        #[inline]
        pub(in super::super) fn max(self, other: Self) -> Self {
            Self(i16x8_max(self.0, other.0))
        }

        /// All bits of a lane where it is greater, none where it is not.
        #[inline]
        pub(in super::super) fn gt(self, other: Self) -> Self {
            Self(i16x8_gt(self.0, other.0))
        }

        /// The bits of `yes` where this has ones, those of `no` elsewhere.
        #[inline]
        pub(in super::super) fn select(self, yes: Self, no: Self) -> Self {
            Self(v128_bitselect(yes.0, no.0, self.0))
        }
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod array {
    use std::array::from_fn;

    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes([i16; 8]);

    impl Lanes {
        pub(in super::super) fn splat(value: i16) -> Self {
            Self([value; 8])
        }

        pub(in super::super) fn widen(bytes: u64) -> Self {
            Self(bytes.to_le_bytes().map(i16::from))
        }

        pub(in super::super) fn narrow(self) -> u64 {
            u64::from_le_bytes(self.0.map(|lane| lane as u8))
        }

        pub(in super::super) fn add(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] + other.0[i]))
        }

        pub(in super::super) fn sub(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] - other.0[i]))
        }

        pub(in super::super) fn and(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i] & other.0[i]))
        }

        pub(in super::super) fn half(self) -> Self {
            Self(self.0.map(|lane| lane >> 1))
        }

        pub(in super::super) fn min(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i].min(other.0[i])))
        }

        pub(in super::super) fn max(self, other: Self) -> Self {
            Self(from_fn(|i| self.0[i].max(other.0[i])))
        }

        pub(in super::super) fn gt(self, other: Self) -> Self {
            Self(from_fn(|i| -i16::from(self.0[i] > other.0[i])))
        }

        pub(in super::super) fn select(self, yes: Self, no: Self) -> Self {
            Self(from_fn(|i| (yes.0[i] & self.0[i]) | (no.0[i] & !self.0[i])))
        }
    }
}
