import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Apache Kafka's own client behind the face that program_clients.py gives every client program:
 *
 * <pre>
 *   Client BOOTSTRAP write TOPIC CODEC < records    writes to partition 0, prints the offset of each record
 *   Client BOOTSTRAP read TOPIC COUNT               prints the first COUNT records of partition 0
 *   Client BOOTSTRAP offsets TOPIC                  prints the first offset of partition 0 and the end
 *   Client BOOTSTRAP admin TOPIC                    creates, describes, grows and deletes the topic
 * </pre>
 *
 * A record is a line: timestamp, key, value, headers, with tabs between; base64, "-" for null, headers as name:value with
 * commas between.
 */
public final class Client {
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.US_ASCII);

    private final Map<String, Object> bootstrap;
    private final String topic;

    private Client(String bootstrap, String topic) {
        this.bootstrap = Map.of("bootstrap.servers", bootstrap);
        this.topic = topic;
    }

    public static void main(String[] arguments) throws Exception {
        Client client = new Client(arguments[0], arguments[2]);
        switch (arguments[1]) {
            case "write" -> client.write(arguments[3]);
            case "read" -> client.read(Integer.parseInt(arguments[3]));
            case "offsets" -> client.offsets();
            case "admin" -> client.admin();
            default -> throw new IllegalArgumentException("unknown command " + arguments[1]);
        }
        OUT.flush();
    }

    private void write(String codec) throws Exception {
        Map<String, Object> settings = new java.util.HashMap<>(bootstrap);
        settings.put("compression.type", codec);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
                var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                sent.add(producer.send(parse(line)));
            }
            for (Future<RecordMetadata> each : sent) {
                OUT.println(each.get(PATIENCE.toSeconds(), TimeUnit.SECONDS).offset());
            }
        }
    }

    private void read(int count) {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (var consumer = new KafkaConsumer<>(bootstrap, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            int found = 0;
            while (found < count) {
                var records = consumer.poll(PATIENCE);
                if (records.isEmpty()) {
                    throw new IllegalStateException("only " + found + " of " + count + " records");
                }
                for (ConsumerRecord<byte[], byte[]> each : records) {
                    if (found++ < count) {
                        OUT.println(format(each));
                    }
                }
            }
        }
    }

    private void offsets() throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (Admin admin = Admin.create(bootstrap)) {
            long start = admin.listOffsets(Map.of(partition, OffsetSpec.earliest())).partitionResult(partition).get().offset();
            long end = admin.listOffsets(Map.of(partition, OffsetSpec.latest())).partitionResult(partition).get().offset();
            OUT.println(start + " " + end);
        }
    }

    private void admin() throws Exception {
        List<String> topics = List.of(topic);
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = Admin.create(bootstrap)) {
            NewTopic wanted = new NewTopic(topic, Optional.of(3), Optional.empty()).configs(Map.of("retention.ms", "123456"));
            var created = admin.createTopics(List.of(wanted));
            expect(created.numPartitions(topic).get() == 3, "created with 3 partitions");
            try {
                admin.createTopics(List.of(wanted)).all().get();
                expect(false, "refused to create it twice");
            } catch (ExecutionException refused) {
                expect(refused.getCause() instanceof TopicExistsException, "refused because it exists: " + refused);
            }
            settles(admin, 3);
            var described = admin.describeTopics(topics).allTopicNames().get().get(topic);
            expect(described.topicId().equals(created.topicId(topic).get()), "described with the id it was created with");
            var config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
            expect(config.get("retention.ms").value().equals("123456"), "its config is described");
            expect(admin.describeCluster().nodes().get().size() == 1, "a cluster of one node");
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
            settles(admin, 5);
            admin.deleteTopics(topics).all().get();
            settles(admin, 0);
        }
    }

    /** Waits until the topic has so many partitions; 0 when it shall be gone. */
    private void settles(Admin admin, int partitions) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (partitionsOf(admin) != partitions) {
            expect(System.nanoTime() < deadline, "has " + partitions + " partitions");
            Thread.sleep(20);
        }
    }

    private int partitionsOf(Admin admin) throws Exception {
        if (!admin.listTopics().names().get().contains(topic)) {
            return 0;
        }
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
    }

    private static void expect(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException("not so: " + what);
        }
    }

    private ProducerRecord<byte[], byte[]> parse(String line) {
        String[] fields = line.split("\t", -1);
        List<Header> headers = new ArrayList<>();
        for (String header : fields[3].isEmpty() ? new String[0] : fields[3].split(",")) {
            String[] parts = header.split(":", -1);
            String name = new String(fromBase64(parts[0]), StandardCharsets.UTF_8);
            headers.add(new RecordHeader(name, fromBase64(parts[1])));
        }
        return new ProducerRecord<>(
                topic, 0, Long.valueOf(fields[0]), fromBase64(fields[1]), fromBase64(fields[2]), headers);
    }

    private static String format(ConsumerRecord<byte[], byte[]> each) {
        List<String> headers = new ArrayList<>();
        for (Header header : each.headers()) {
            headers.add(toBase64(header.key().getBytes(StandardCharsets.UTF_8)) + ":" + toBase64(header.value()));
        }
        return String.join(
                "\t",
                Long.toString(each.timestamp()),
                toBase64(each.key()),
                toBase64(each.value()),
                String.join(",", headers));
    }

    private static byte[] fromBase64(String text) {
        return text.equals("-") ? null : Base64.getDecoder().decode(text);
    }

    private static String toBase64(byte[] bytes) {
        return bytes == null ? "-" : Base64.getEncoder().encodeToString(bytes);
    }
}
