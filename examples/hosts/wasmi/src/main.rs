//! The core in wasmi, from Rust. What it is given and what it prints: see hosts.mjs.
mod host;

use host::Host;
use std::{collections::HashMap, env, error::Error, fs, io};
use wasmi::Engine;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().collect();
    let engine = Engine::default();
    let mut host = Host::new(&engine, [args[2].parse()?, args[3].parse()?], &fs::read(&args[4])?)?;
    let mut cores = HashMap::new();
    for line in io::stdin().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        if !cores.contains_key(words[0]) {
            cores.insert(words[0].to_string(), host.instantiate()?);
        }
        let numbers: Vec<i32> = words[2..].iter().map(|word| word.parse()).collect::<Result<_, _>>()?;
        println!("{line} = {}", host.call(&cores[words[0]], words[1], &numbers)?);
    }
    Ok(())
}
