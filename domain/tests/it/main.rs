//! The core on a real database, through its public face. One binary, because linking it is what takes time.

mod access;
mod anomalies;
mod calendars;
mod contracts;
mod crash;
mod damage;
mod databases;
mod events;
mod facts;
mod gathering;
mod idempotency;
mod late;
mod lost;
mod mails;
mod nodes;
mod orders;
mod recording;
mod redis;
mod redis_server;
mod rollbacks;
mod rounds;
mod smtp;
mod sources;
mod support;
mod uploads;
mod walls;
