// A service manager's socket, for tests: prints every datagram as a line, its own lines
// with "|" between them.
// Usage: notify-receiver PATH

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int main(int count, char **arguments) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (count != 2 || strlen(arguments[1]) >= sizeof(address.sun_path)) return 2;
  strcpy(address.sun_path, arguments[1]);
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
    perror(arguments[1]);
    return 1;
  }
  // The director under test may be another user.
  chmod(arguments[1], 0666);
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts("listening");
  char text[4096];
  for (ssize_t length; (length = recv(fd, text, sizeof(text), 0)) >= 0;) {
    for (ssize_t i = 0; i < length; i++) putchar(text[i] == '\n' ? '|' : text[i]);
    putchar('\n');
  }
  return 0;
}
