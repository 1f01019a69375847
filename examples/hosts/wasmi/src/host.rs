//! A core in wasmi: instances on one store, which import one memory.
use std::error::Error;
use wasmi::{Engine, Instance, Linker, Memory, MemoryType, Module, Store, Val};

pub struct Host {
    store: Store<()>,
    linker: Linker<()>,
    module: Module,
}

impl Host {
    pub fn new(engine: &Engine, pages: [u32; 2], wasm: &[u8]) -> Result<Self, Box<dyn Error>> {
        let mut store = Store::new(engine, ());
        let mut linker = Linker::new(engine);
        if pages[0] > 0 {
            let memory = Memory::new(&mut store, MemoryType::new(pages[0], Some(pages[1])))?;
            linker.define("env", "memory", memory)?;
        }
        Ok(Self { store, linker, module: Module::new(engine, wasm)? })
    }

    pub fn instantiate(&mut self) -> Result<Instance, Box<dyn Error>> {
        Ok(self.linker.instantiate_and_start(&mut self.store, &self.module)?)
    }

    /// The answer, as text; "none" for a function without a result.
    pub fn call(&mut self, core: &Instance, name: &str, args: &[i32]) -> Result<String, Box<dyn Error>> {
        let memory = core.get_memory(&self.store, "memory").ok_or("no memory")?;
        let mut word = [0; 4];
        match name {
            "memory.load" => {
                memory.read(&self.store, args[0] as u32 as usize, &mut word)?;
                return Ok(i32::from_le_bytes(word).to_string());
            }
            "memory.store" => memory.write(&mut self.store, args[0] as u32 as usize, &args[1].to_le_bytes())?,
            _ => {
                let function = core.get_func(&self.store, name).ok_or("no such function")?;
                let args: Vec<Val> = args.iter().map(|&value| Val::I32(value)).collect();
                let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
                match function.call(&mut self.store, &args, &mut results) {
                    Err(_) => return Ok("trap".into()),
                    Ok(()) if results.is_empty() => {}
                    Ok(()) => return Ok(results[0].i32().ok_or("no i32")?.to_string()),
                }
            }
        }
        Ok("none".into())
    }
}
