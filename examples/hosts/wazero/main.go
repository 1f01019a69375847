// The core in wazero, from Go. What it is given and what it prints: see hosts.mjs.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

// An instance on a thread of its own.
func serve(core Instance, lines chan string, done chan bool) {
	for line := range lines {
		words := strings.Fields(line)
		fmt.Printf("%s = %v\n", line, core.Call(words[1], numbers(words[2:])))
	}
	done <- true
}

func numbers(words []string) (values []uint64) {
	for _, word := range words {
		values = append(values, uint64(uint32(must(strconv.ParseInt(word, 10, 64)))))
	}
	return values
}

func main() {
	setup := numbers(os.Args[1:4])
	host := NewHost(byte(setup[0]), byte(setup[1]), byte(setup[2]), os.Args[4:])
	threads, done := map[string]chan string{}, make(chan bool)
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		at, _, _ := strings.Cut(input.Text(), " ")
		if threads[at] == nil {
			threads[at] = make(chan string, 1)
			go serve(host.Instantiate(), threads[at], done)
		}
		threads[at] <- input.Text()
	}
	for _, lines := range threads {
		close(lines)
		<-done
	}
}
