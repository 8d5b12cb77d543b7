/* The least that a hub can do: an epoll loop that moves the bytes, and knows nothing.
 *
 * It answers any handshake, any first frame with a welcome, every frame of the controller with an
 * order to each camera (one frame, built once), and passes every frame of a camera on to the
 * controller: in a send() of its own, or with BATCH 1 in one for all that came in one turn. It
 * unmasks nothing (the load's mask is 0), checks nothing, keeps no state of a snap.
 *
 * bare_hub PORT BATCH
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 4096, EVENTS = 512, MOST = 70000 };
enum state { SHAKING, GREETING, CAMERA, CONTROLLER };

struct client {
    int fd;
    enum state state;
};

static struct client *clients[MOST];
static int known, batches, controller = -1;
static char *out;
static size_t out_size, out_room;

static const char ACCEPT[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Accept: none\r\n\r\n";
static const char WELCOME[] = "{\"type\":\"welcome\",\"heartbeat_s\":20.0,\"cameras\":[{\"name\":"
                              "\"load-00000\",\"snippet\":1,\"upload\":null}]}";

static int text_frame(char *to, const char *text, int size) {
    to[0] = (char)0x81;
    if (size < 126) {
        to[1] = size;
        memcpy(to + 2, text, size);
        return size + 2;
    }
    to[1] = 126, to[2] = size >> 8, to[3] = size & 255;
    memcpy(to + 4, text, size);
    return size + 4;
}

static void order_all(const char *id) {
    char text[256], frame[264];
    int size = snprintf(text, sizeof text,
                        "{\"type\":\"snap\",\"id\":\"%s\",\"camera\":\"load-00000\","
                        "\"deadline_s\":30.0}",
                        id);
    size = text_frame(frame, text, size);
    for (int each = 0; each < known; each++)
        if (clients[each]->state == CAMERA) send(clients[each]->fd, frame, size, MSG_NOSIGNAL);
}

static void pass_on(const char *text, int size) {
    if (out_size + size + 4 > out_room) out = realloc(out, out_room = 2 * (out_room + size + 4));
    out_size += text_frame(out + out_size, text, size);
}

static void flush(void) {
    for (size_t sent = 0; out_size && sent < out_size;) {
        ssize_t took = send(controller, out + sent, out_size - sent, MSG_NOSIGNAL);
        if (took < 0 && errno != EAGAIN) break;
        struct pollfd slow = {.fd = controller, .events = POLLOUT};
        if (took < 0) poll(&slow, 1, -1);
        if (took > 0) sent += took;
    }
    out_size = 0;
}

static void take(struct client *client, char *in, int got) {
    if (client->state == SHAKING) {
        send(client->fd, ACCEPT, sizeof ACCEPT - 1, MSG_NOSIGNAL);
        client->state = GREETING;
        return;
    }
    while (got >= 6) {
        int size = in[1] & 127, head = 6;
        if (size == 126) size = (unsigned char)in[2] << 8 | (unsigned char)in[3], head = 8;
        if (got < head + size) return; /* small messages on loopback come whole */
        if (client->state == GREETING) {
            char frame[256];
            int is_camera = memmem(in + head, size, "\"camera\"", 8) != NULL;
            client->state = is_camera ? CAMERA : CONTROLLER;
            if (!is_camera) controller = client->fd;
            int length = text_frame(frame, WELCOME, sizeof WELCOME - 1);
            send(client->fd, frame, length, MSG_NOSIGNAL);
        } else if (client->state == CONTROLLER) {
            order_all("0198c2f1-02c4-7d5a-9a6e-0f7f8c1f5a10");
        } else {
            pass_on(in + head, size);
            if (!batches) flush();
        }
        in += head + size, got -= head + size;
    }
}

int main(int count, char **given) {
    if (count != 3) return 2;
    batches = atoi(given[2]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(given[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("bare_hub");
        return 1;
    }
    int loop = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event events[EVENTS];
        int found = epoll_wait(loop, events, EVENTS, -1);
        for (int each = 0; each < found; each++) {
            struct client *client = events[each].data.ptr;
            if (!client) {
                int fd;
                while (known < MOST && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    clients[known] = calloc(1, sizeof *client);
                    clients[known]->fd = fd;
                    event.data.ptr = clients[known++];
                    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
                }
                continue;
            }
            char in[ROOM];
            int got = recv(client->fd, in, sizeof in, 0);
            if (got > 0) take(client, in, got);
            else if (got == 0 || errno != EAGAIN) {
                epoll_ctl(loop, EPOLL_CTL_DEL, client->fd, NULL);
                client->state = SHAKING; /* it gets nothing more */
            }
        }
        if (out_size) flush();
    }
}
