//! The sockets of one thread's connections, and waiting for them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::thread::set_current_timer_slack;

use crate::connection::Call;
use crate::exchange::{Ended, Exchange};
use crate::report::LoadError;

/// What a server may take to greet.
const GREETING: Duration = Duration::from_secs(10);
/// By default the system wakes a thread up to 50 microseconds late.
const TIMER_SLACK_NS: NonZeroU64 = NonZeroU64::MIN;

/// One connection.
struct Line<Tag> {
    socket: TcpStream,
    exchange: Exchange<Tag>,
    written: usize,
    stuck: bool,
}

impl<Tag> Line<Tag> {
    /// Connects, and waits until the server has said what it allows.
    fn open(target: &str, exchange: Exchange<Tag>) -> Result<Self, LoadError> {
        let socket = TcpStream::connect(target).map_err(|source| LoadError::Connect {
            target: target.to_owned(),
            source,
        })?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(GREETING))?;
        let mut line = Self {
            socket,
            exchange,
            written: 0,
            stuck: false,
        };
        line.flush();
        while !line.exchange.is_settled() {
            let bytes = line.socket.read(line.exchange.space())?;
            if bytes == 0 {
                return Err(LoadError::Protocol(
                    "the server closed the connection at once",
                ));
            }
            line.exchange.received(bytes, &mut Vec::new())?;
        }
        line.socket.set_nonblocking(true)?;
        line.flush();
        Ok(line)
    }

    /// Reads what is there; false when the connection is gone.
    fn read(&mut self, ended: &mut Vec<Ended<Tag>>) -> Result<bool, LoadError> {
        loop {
            let space = self.exchange.space();
            let most = space.len();
            match self.socket.read(space) {
                Ok(bytes @ 1..) => {
                    self.exchange.received(bytes, ended)?;
                    if bytes < most {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => {
                    self.exchange.lose(ended);
                    self.written = 0;
                    return Ok(false);
                }
            }
        }
    }

    /// Writes what is to be written, as far as the system takes it.
    fn flush(&mut self) {
        let output = self.exchange.output();
        while self.written < output.len() {
            match self.socket.write(&output[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The next read says that the connection is gone.
                Err(_) => self.written = output.len(),
            }
        }
        if self.written == output.len() {
            output.clear();
            self.written = 0;
        }
    }
}

/// The connections of one thread.
pub(crate) struct Sockets<Tag> {
    epoll: OwnedFd,
    events: Vec<Event>,
    lines: Vec<Line<Tag>>,
}

impl<Tag> Sockets<Tag> {
    /// Opens `number` connections to where `call` goes.
    pub(crate) fn open(call: &Call, number: usize, timeout: Duration) -> Result<Self, LoadError> {
        let head = call.head(timeout);
        let lines: Vec<_> = (0..number)
            .map(|_| Line::open(call.target(), Exchange::new(head.clone())))
            .collect::<Result<_, _>>()?;
        set_current_timer_slack(Some(TIMER_SLACK_NS)).map_err(io::Error::from)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(io::Error::from)?;
        for (number, line) in lines.iter().enumerate() {
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, &line.socket, data, EventFlags::IN).map_err(io::Error::from)?;
        }
        Ok(Self {
            epoll,
            events: Vec::with_capacity(lines.len().max(1)),
            lines,
        })
    }

    /// Waits until a connection has something to read or room to write, at most `longest`; `ready` says which.
    pub(crate) fn wait(&mut self, longest: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        let longest = Timespec {
            tv_sec: i64::try_from(longest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(longest.subsec_nanos()),
        };
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&longest),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.clear();
        ready.extend(self.events.iter().map(|event| {
            let data = event.data; // a field of a packed structure cannot be borrowed
            data.u64() as usize
        }));
        Ok(())
    }

    /// Takes in what connection `number` has to read.
    pub(crate) fn read(
        &mut self,
        number: usize,
        ended: &mut Vec<Ended<Tag>>,
    ) -> Result<(), LoadError> {
        let line = &mut self.lines[number];
        if !line.read(ended)? {
            epoll::delete(&self.epoll, &line.socket).map_err(io::Error::from)?;
        }
        Ok(())
    }

    /// Calls on connection `number`; [`Self::flush`] sends it.
    pub(crate) fn ask(
        &mut self,
        number: usize,
        tag: Tag,
        message: Bytes,
        ended: &mut Vec<Ended<Tag>>,
    ) {
        self.lines[number].exchange.ask(tag, message, ended);
    }

    /// Calls that have not ended.
    pub(crate) fn unended(&self) -> usize {
        self.lines.iter().map(|line| line.exchange.unended()).sum()
    }

    /// Writes what connection `number` has to say; what the system does not take waits until it does.
    pub(crate) fn flush(&mut self, number: usize) -> io::Result<()> {
        let line = &mut self.lines[number];
        line.flush();
        if line.exchange.is_lost() {
            return Ok(());
        }
        let stuck = line.written < line.exchange.output().len();
        if stuck != line.stuck {
            line.stuck = stuck;
            let watched = if stuck {
                EventFlags::IN | EventFlags::OUT
            } else {
                EventFlags::IN
            };
            epoll::modify(
                &self.epoll,
                &line.socket,
                EventData::new_u64(number as u64),
                watched,
            )?;
        }
        Ok(())
    }
}
