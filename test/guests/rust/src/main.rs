//! The checks as a WASI program: each name it is given runs one.
fn main() {
    for name in std::env::args().skip(1) {
        println!("{}", checks::run(&name));
    }
}
