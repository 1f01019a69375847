import com.dylibso.chicory.wasm.ChicoryException;
import com.dylibso.chicory.wasm.Parser;
import java.io.File;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Scanner;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Stream;

/** The core in Chicory, from Java. What it is given and what it prints: see hosts.mjs. */
final class Main {
  record Served(Core core, ExecutorService thread) {}

  public static void main(String[] args) {
    int initial = Integer.parseInt(args[1]);
    var memory = initial == 0 ? null : Core.memory(initial, Integer.parseInt(args[2]), args[0].equals("1"));
    var modules = Stream.of(args).skip(3).map(file -> Parser.parse(new File(file))).toList();
    var instances = new HashMap<String, Served>();
    for (var input = new Scanner(System.in); input.hasNextLine(); ) {
      var line = input.nextLine();
      var words = line.split(" ");
      var served = instances.computeIfAbsent(
          words[0], at -> new Served(new Core(modules, memory), Executors.newSingleThreadExecutor()));
      served.thread().submit(() -> System.out.println(line + " = " + answer(served.core(), words)));
      if (words[1].equals("end")) served.thread().shutdown();
    }
    instances.values().forEach(served -> served.thread().shutdown());
  }

  static String answer(Core core, String[] words) {
    long[] args = Arrays.stream(words).skip(2).mapToLong(Long::parseLong).toArray();
    try {
      switch (words[1]) {
        case "memory.load":
          return String.valueOf(core.memory.readInt((int) args[0]));
        case "memory.store":
          core.memory.writeI32((int) args[0], (int) args[1]);
          return "none";
        case "end":
          return "none";
        default:
          var answer = core.call(words[1], args);
          return answer == null ? "none" : answer.toString();
      }
    } catch (ChicoryException trap) {
      return "trap";
    }
  }
}
