//! The portal from outside its handlers: pages as drawn, ways through them, and what is refused.

mod authority;
mod browser;
mod enrolment;
mod journeys;
mod pages;
mod people;
mod refusals;
