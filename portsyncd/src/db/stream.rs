//! One authenticated byte stream to one database, for the hot path.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::address::{DbAddress, Transport};
use super::resp::{self, Answer};
use super::{DbError, tls};

/// A connected stream: a unix socket, TCP, or TLS over TCP.
#[derive(Debug)]
pub(super) enum DbStream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl DbStream {
    /// Connects, authenticates, selects the database and proves that it answers:
    /// a Redis that still loads its file refuses the PING.
    pub(super) async fn connect(address: &DbAddress) -> Result<Self, DbError> {
        let mut stream = Self::open(address).await?;
        let mut request = Vec::with_capacity(128);
        let mut commands = Vec::with_capacity(3);
        if let Some(password) = address.password() {
            match address.username() {
                Some(user) => {
                    resp::command(
                        &mut request,
                        &[b"AUTH", user.as_bytes(), password.expose().as_bytes()],
                    );
                }
                None => resp::command(&mut request, &[b"AUTH", password.expose().as_bytes()]),
            }
            commands.push("AUTH");
        }
        let number = address.number().to_string();
        resp::command(&mut request, &[b"SELECT", number.as_bytes()]);
        resp::command(&mut request, &[b"PING"]);
        commands.extend(["SELECT", "PING"]);
        stream
            .write_all(&request)
            .await
            .map_err(DbError::io("write"))?;
        stream.expect(&commands).await?;
        Ok(stream)
    }

    async fn open(address: &DbAddress) -> Result<Self, DbError> {
        match address.transport() {
            Transport::Unix(path) => UnixStream::connect(path)
                .await
                .map(Self::Unix)
                .map_err(DbError::io("connect")),
            Transport::Tcp(host, port) => tcp(host, port.get()).await.map(Self::Tcp),
            Transport::Tls(host, port, files) => {
                let client = tls::client(files)?;
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| DbError::Tls(format!("{host}: {error}")))?;
                let stream = tcp(host, port.get()).await?;
                let stream = TlsConnector::from(client)
                    .connect(name, stream)
                    .await
                    .map_err(DbError::io("TLS handshake"))?;
                Ok(Self::Tls(Box::new(stream)))
            }
        }
    }

    /// Reads one answer for each of `commands`; any but success is an error.
    async fn expect(&mut self, commands: &[&'static str]) -> Result<(), DbError> {
        let mut answers = Vec::with_capacity(64);
        for command in commands {
            loop {
                let mut rest = &answers[..];
                let answer = resp::take_answer(&mut rest);
                let used = answers.len() - rest.len();
                match answer {
                    Some(Answer::Done | Answer::Number(_)) => {
                        answers.drain(..used);
                        break;
                    }
                    Some(Answer::Error(error)) => {
                        return Err(DbError::Refused {
                            command: (*command).to_owned(),
                            error: String::from_utf8_lossy(error).into_owned(),
                        });
                    }
                    Some(Answer::Unexpected(line)) => {
                        return Err(DbError::Protocol {
                            command,
                            answer: line.escape_ascii().to_string(),
                        });
                    }
                    None => {}
                }
                let read = self
                    .read_buf(&mut answers)
                    .await
                    .map_err(DbError::io("read"))?;
                if read == 0 {
                    return Err(DbError::Closed);
                }
            }
        }
        Ok(())
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, DbError> {
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(DbError::io("connect"))?;
    stream
        .set_nodelay(true)
        .map_err(DbError::io("TCP_NODELAY"))?;
    Ok(stream)
}

impl AsyncRead for DbStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for DbStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
