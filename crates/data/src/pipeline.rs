//! Work in waves: the next is made in parallel while the one before it is taken in order.

/// Hands what `make` gives for each wave to `take`, in order, on the thread of the caller. At most two waves are there at a
/// time: the one that is taken and the one that is made meanwhile.
///
/// # Errors
/// The first error of `take`; nothing is taken after it.
pub(super) fn pipeline<Wave: Send, Made: Send, E>(
    waves: impl IntoIterator<Item = Wave>,
    make: impl Fn(Wave) -> Made + Sync,
    mut take: impl FnMut(Made) -> Result<(), E>,
) -> Result<(), E> {
    let mut waves = waves.into_iter();
    let make = &make;
    // The first wave has nothing that it could be made beside.
    let mut made = waves.next().map(make);
    while let Some(ready) = made {
        let next = waves.next();
        let mut more = None;
        let place = &mut more;
        // `take` stays on the caller's thread: it holds a writer and an observer, which no other
        // thread may have.
        rayon::in_place_scope(|scope| {
            if let Some(wave) = next {
                scope.spawn(move |_| *place = Some(make(wave)));
            }
            take(ready)
        })?;
        made = more;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wave_is_taken_in_order_up_to_the_first_error() {
        let mut taken = Vec::new();
        let done: Result<(), ()> = pipeline(
            0..5,
            |wave| wave * 10,
            |made| {
                taken.push(made);
                Ok(())
            },
        );
        assert_eq!((done, &taken[..]), (Ok(()), &[0, 10, 20, 30, 40][..]));
        let refused = pipeline(
            0..5,
            |wave| wave,
            |made| if made == 2 { Err(made) } else { Ok(()) },
        );
        assert_eq!(refused, Err(2));
        assert_eq!(pipeline(0..0, |wave: i32| wave, |_| Err(())), Ok(()));
    }
}
