//! Words and windows of many series: those of a tile of neighbours lie together, kernel by kernel.
//!
//! A bar then walks through one stretch of memory for each tile, which the processor fetches ahead by itself, instead of
//! one for each kernel.

use std::ops::Range;

use crate::neighbours::WINDOWS;

/// Numbers of one kind of all series.
#[derive(Debug, Clone)]
pub(crate) struct Tiled<T> {
    numbers: Vec<T>,
    /// Numbers of one series.
    per_series: usize,
    /// Series there is room for.
    room: usize,
}

/// One kernel's part of the numbers of each series: where it begins, and how many they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) first: usize,
    pub(crate) len: usize,
}

impl Part {
    /// Its numbers among those of one series alone.
    pub(crate) fn range(self) -> Range<usize> {
        self.first..self.first + self.len
    }
}

/// What a kernel has of some series, or of all.
#[derive(Debug)]
pub(crate) struct PartOfSome<'a, T> {
    numbers: &'a mut [T],
    /// Where they are; `None` when the series are those of a tile, in their order, and nothing else is here.
    among: Option<Among>,
}

/// Where a kernel's parts are among those of all kernels.
#[derive(Debug, Clone, Copy)]
struct Among {
    /// First number of the first tile.
    first: usize,
    /// Numbers from a tile to the next.
    stride: usize,
}

impl<T: Copy + Default> Tiled<T> {
    pub(crate) fn new(per_series: usize, series: usize) -> Self {
        let room = room_for(series);
        Self {
            numbers: vec![T::default(); per_series * room],
            per_series,
            room,
        }
    }

    /// Makes room for more series than there are.
    pub(crate) fn grow(&mut self, series: usize, parts: impl Iterator<Item = Part>) {
        if series <= self.room {
            return;
        }
        let room = room_for(series.max(2 * self.room));
        if self.room >= WINDOWS {
            self.numbers.resize(self.per_series * room, T::default());
            self.room = room;
            return;
        }
        let mut grown = Self::new(self.per_series, room);
        for part in parts {
            for series in 0..self.room {
                (grown.of_mut(part, series)).copy_from_slice(self.of(part, series));
            }
        }
        *self = grown;
    }

    /// Series of a tile side by side: fewer than a tile where there is no room for one.
    fn side(&self) -> usize {
        self.room.min(WINDOWS)
    }

    fn place(&self, part: Part, series: usize) -> Range<usize> {
        let tile = series / WINDOWS * WINDOWS * self.per_series;
        let first = tile + part.first * self.side() + series % WINDOWS * part.len;
        first..first + part.len
    }

    fn tile_place(&self, part: Part, tile: usize) -> Range<usize> {
        let first = self.place(part, tile * WINDOWS).start;
        first..first + WINDOWS * part.len
    }

    /// A kernel's part of one series.
    pub(crate) fn of(&self, part: Part, series: usize) -> &[T] {
        &self.numbers[self.place(part, series)]
    }

    /// As [`Tiled::of`].
    pub(crate) fn of_mut(&mut self, part: Part, series: usize) -> &mut [T] {
        let place = self.place(part, series);
        &mut self.numbers[place]
    }

    /// A kernel's part of each series of a tile, one after the other; nothing when there is no room for a whole tile.
    pub(crate) fn of_tile(&self, part: Part, tile: usize) -> &[T] {
        let place = self.tile_place(part, tile);
        self.numbers.get(place).unwrap_or_default()
    }

    /// As [`Tiled::of_tile`].
    pub(crate) fn of_tile_mut(&mut self, part: Part, tile: usize) -> &mut [T] {
        let place = self.tile_place(part, tile);
        self.numbers.get_mut(place).unwrap_or_default()
    }

    /// A kernel's part of the series of a tile, or of any series.
    pub(crate) fn of_some(&mut self, part: Part, tile: Option<usize>) -> PartOfSome<'_, T> {
        let among = Among {
            first: part.first * self.side(),
            stride: WINDOWS * self.per_series,
        };
        match tile {
            Some(tile) => PartOfSome {
                numbers: self.of_tile_mut(part, tile),
                among: None,
            },
            None => PartOfSome {
                numbers: &mut self.numbers,
                among: Some(among),
            },
        }
    }
}

impl<T> PartOfSome<'_, T> {
    /// The `len` numbers of the series at a place among those asked for.
    #[inline(always)]
    pub(crate) fn of(&mut self, place: usize, series: usize, len: usize) -> &mut [T] {
        let first = match self.among {
            None => place * len,
            Some(Among { first, stride }) => {
                series / WINDOWS * stride + first + series % WINDOWS * len
            }
        };
        &mut self.numbers[first..][..len]
    }

    /// The same for someone else, for a while.
    #[inline(always)]
    pub(crate) fn lend(&mut self) -> PartOfSome<'_, T> {
        PartOfSome {
            numbers: &mut *self.numbers,
            ..*self
        }
    }
}

/// Series to make room for: a few, or whole tiles.
fn room_for(series: usize) -> usize {
    if series < WINDOWS {
        series
    } else {
        series.next_multiple_of(WINDOWS)
    }
}
