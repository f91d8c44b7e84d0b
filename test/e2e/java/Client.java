import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.util.Collections;
import org.json.JSONArray;

/* Clients of the Java library, 1.0 or 2.1: Client URL PATH TRANSPORT,TOKEN[,RENEWAL]...
 *
 * A client for each word, which it is numbered by; TRANSPORT is websocket, polling, or
 * default for what the library does by itself.  With RENEWAL it emits "authenticate"
 * with that when it is in.  Prints a line "NUMBER EVENT [ARGUMENT,...]" for all that it
 * hears, binary as hex, and goes on until it is killed. */
public class Client {
    static final String[] EVENTS = {
        "connect", "disconnect", "connect_error", "error", "text", "bin", "seq",
    };

    static Object plain(Object value) {
        if (!(value instanceof byte[])) return value;
        StringBuilder hex = new StringBuilder();
        for (byte one : (byte[]) value) hex.append(String.format("%02x", one));
        return hex.toString();
    }

    static void say(int number, String event, Object... args) {
        JSONArray all = new JSONArray();
        for (Object arg : args) all.put(arg instanceof Exception ? arg.toString() : plain(arg));
        String line = number + " " + event + " " + all + "\n";
        synchronized (System.out) {
            byte[] bytes = line.getBytes(java.nio.charset.StandardCharsets.UTF_8);
            System.out.write(bytes, 0, bytes.length);
            System.out.flush();
        }
    }

    /* 2.x has a field for the token, 1.x the query alone. */
    static IO.Options options(String path, String transport, String token) throws Exception {
        IO.Options options = new IO.Options();
        options.forceNew = true;
        options.path = path;
        if (!transport.equals("default")) options.transports = new String[] {transport};
        try {
            IO.Options.class.getField("auth").set(options, Collections.singletonMap("token", token));
        } catch (NoSuchFieldException e) {
            options.query = "token=" + token;
        }
        return options;
    }

    public static void main(String[] args) throws Exception {
        for (int i = 2; i < args.length; i++) {
            final int number = i - 2;
            final String[] words = args[i].split(",");
            final Socket socket = IO.socket(args[0], options(args[1], words[0], words[1]));
            for (String event : EVENTS) socket.on(event, got -> say(number, event, got));
            if (words.length > 2)
                socket.on("connect", got -> socket.emit("authenticate", words[2],
                        (Ack) answer -> say(number, "renewed", answer)));
            socket.connect();
        }
    }
}
