//! The portal from outside its handlers: pages as drawn, and ways through them.

mod pages;
