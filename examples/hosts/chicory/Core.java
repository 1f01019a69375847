import com.dylibso.chicory.runtime.ByteArrayMemory;
import com.dylibso.chicory.runtime.ImportFunction;
import com.dylibso.chicory.runtime.ImportGlobal;
import com.dylibso.chicory.runtime.ImportMemory;
import com.dylibso.chicory.runtime.ImportValues;
import com.dylibso.chicory.runtime.Instance;
import com.dylibso.chicory.runtime.Memory;
import com.dylibso.chicory.wasm.WasmModule;
import com.dylibso.chicory.wasm.types.MemoryLimits;
import com.dylibso.chicory.wasm.types.ValType;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** An instance of a core: of its one module, or of two halves, of which the second imports what the first exports. */
final class Core {
  private final Map<String, Instance> exporters = new HashMap<>();
  final Memory memory;

  static Memory memory(int initial, int maximum, boolean shared) {
    return new ByteArrayMemory(new MemoryLimits(initial, maximum, shared));
  }

  Core(List<WasmModule> modules, Memory imported) {
    Instance last = null;
    for (var module : modules) {
      var imports = ImportValues.builder();
      module.importSection().stream().forEach(each -> {
        var of = exporters.get(each.name());
        switch (each.importType()) {
          case FUNCTION -> imports.addFunction(ImportFunction.exportAsImport("core", each.name(), of, each.name()));
          case GLOBAL -> imports.addGlobal(new ImportGlobal("core", each.name(), of.exports().global(each.name())));
          default -> imports.addMemory(new ImportMemory("env", "memory", imported));
        }
      });
      last = Instance.builder(module).withImportValues(imports.build()).build();
      for (int i = 0; i < module.exportSection().exportCount(); i++) {
        exporters.put(module.exportSection().getExport(i).name(), last);
      }
    }
    memory = last.memory();
  }

  /** The answer, as a signed number; null for a function without a result. */
  Integer call(String name, long... args) {
    var instance = exporters.get(name);
    var kinds = instance.exportType(name).params();
    for (int i = 0; i < args.length; i++) {
      if (kinds.get(i).equals(ValType.F64)) args[i] = Double.doubleToRawLongBits(args[i]);
    }
    long[] answer = instance.export(name).apply(args);
    return answer == null || answer.length == 0 ? null : (int) answer[0];
  }
}
