//! A connection's stream, whose peer has to take what is sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// A stream that fails when its peer takes nothing for too long of what waits
/// to be sent. Nothing else ends such a connection: to TCP it is alive.
pub struct Taken<S> {
    stream: S,
    wait_max: Duration,
    /// Runs while something waits.
    late: Option<Pin<Box<Sleep>>>,
}

impl<S> Taken<S> {
    /// A stream that waits at most `wait_max` for its peer to take something.
    pub fn new(stream: S, wait_max: Duration) -> Self {
        let late = None;
        Self {
            stream,
            wait_max,
            late,
        }
    }

    /// What comes of sending, or a failure where it has waited for too long.
    fn in_time<T>(
        &mut self,
        sent: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.late = None;
            return sent;
        }
        let wait_max = self.wait_max;
        let late = self
            .late
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait_max)));
        ready!(late.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(sent, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.in_time(sent, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket's is always done; it must not end a wait for a write.
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_peer_that_takes_nothing_ends_the_stream() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let mut ours = Taken::new(ours, MOMENT);
        let error = ours.write_all(&[0; 9]).await.expect_err("an end");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn one_that_takes_little_by_little_gets_all() {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let mut ours = Taken::new(ours, Duration::from_secs(60));
        let sent = async {
            ours.write_all(&[7; 64]).await.expect("sent");
            ours.shutdown().await.expect("ended");
        };
        let mut taken = Vec::new();
        let (_, count) = tokio::join!(sent, theirs.read_to_end(&mut taken));
        assert_eq!(count.expect("read"), 64);
    }
}
