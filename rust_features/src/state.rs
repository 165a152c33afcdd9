//! What a kernel remembers, as plain words with a fixed layout: easy to copy, to store and to restore.

/// Numbers that survive from bar to bar. Declare one with the `state!` macro.
pub trait State: Copy + Default + Send + Sync + 'static {
    /// Words of 64 bits that `store` writes.
    const WORDS: usize;
    /// Reads the words that `store` wrote.
    fn load(words: &mut Words<'_>) -> Self;
    /// Writes every field, in order of declaration.
    fn store(&self, words: &mut WordsMut<'_>);
}

/// Reads words one after the other; zero once they have run out.
#[derive(Debug)]
pub struct Words<'a>(&'a [u64]);

impl<'a> Words<'a> {
    /// Starts at the first word.
    #[inline(always)]
    pub fn new(words: &'a [u64]) -> Self {
        Self(words)
    }

    #[inline(always)]
    fn next(&mut self) -> u64 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }
}

/// Writes words one after the other; drops those that find no room.
#[derive(Debug)]
pub struct WordsMut<'a>(&'a mut [u64]);

impl<'a> WordsMut<'a> {
    /// Starts at the first word.
    #[inline(always)]
    pub fn new(words: &'a mut [u64]) -> Self {
        Self(words)
    }

    #[inline(always)]
    fn push(&mut self, word: u64) {
        if let Some((first, rest)) = std::mem::take(&mut self.0).split_first_mut() {
            *first = word;
            self.0 = rest;
        }
    }
}

impl State for () {
    const WORDS: usize = 0;

    #[inline(always)]
    fn load(_words: &mut Words<'_>) -> Self {}

    #[inline(always)]
    fn store(&self, _words: &mut WordsMut<'_>) {}
}

impl State for f64 {
    const WORDS: usize = 1;

    #[inline(always)]
    fn load(words: &mut Words<'_>) -> Self {
        Self::from_bits(words.next())
    }

    #[inline(always)]
    fn store(&self, words: &mut WordsMut<'_>) {
        words.push(self.to_bits());
    }
}

impl State for u64 {
    const WORDS: usize = 1;

    #[inline(always)]
    fn load(words: &mut Words<'_>) -> Self {
        words.next()
    }

    #[inline(always)]
    fn store(&self, words: &mut WordsMut<'_>) {
        words.push(*self);
    }
}

impl State for i64 {
    const WORDS: usize = 1;

    #[inline(always)]
    fn load(words: &mut Words<'_>) -> Self {
        words.next().cast_signed()
    }

    #[inline(always)]
    fn store(&self, words: &mut WordsMut<'_>) {
        words.push(self.cast_unsigned());
    }
}

impl State for bool {
    const WORDS: usize = 1;

    #[inline(always)]
    fn load(words: &mut Words<'_>) -> Self {
        words.next() != 0
    }

    #[inline(always)]
    fn store(&self, words: &mut WordsMut<'_>) {
        words.push(u64::from(*self));
    }
}

impl<T: State, const N: usize> State for [T; N]
where
    [T; N]: Default,
{
    const WORDS: usize = N * T::WORDS;

    #[inline(always)]
    fn load(words: &mut Words<'_>) -> Self {
        std::array::from_fn(|_| T::load(words))
    }

    #[inline(always)]
    fn store(&self, words: &mut WordsMut<'_>) {
        for value in self {
            value.store(words);
        }
    }
}

/// Shows a flag as a number; see [`crate::kernel::Kernel::live`].
#[inline(always)]
pub(crate) fn show_flag(flag: &mut bool, show: &mut impl FnMut(&mut f64)) {
    let mut number = f64::from(u8::from(*flag));
    show(&mut number);
    *flag = number != 0.0;
}

/// Declares a struct whose fields are themselves [`State`]s, and its layout in words.
macro_rules! state {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default)]
        $visibility struct $name {
            $($(#[$field_meta])* pub(crate) $field: $kind),+
        }

        impl $crate::state::State for $name {
            const WORDS: usize = 0 $(+ <$kind as $crate::state::State>::WORDS)+;

            #[inline(always)]
            fn load(words: &mut $crate::state::Words<'_>) -> Self {
                $(let $field = <$kind as $crate::state::State>::load(words);)+
                Self { $($field),+ }
            }

            #[inline(always)]
            fn store(&self, words: &mut $crate::state::WordsMut<'_>) {
                $(self.$field.store(words);)+
            }
        }
    };
}
pub(crate) use state;
