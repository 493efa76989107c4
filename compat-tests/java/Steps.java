import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The steps that step_programs.py describes, with Apache Kafka's own client:
 *
 * <pre>
 *   Steps BOOTSTRAP STEP PREFIX COUNT
 * </pre>
 *
 * Each phase of a step prints a line of JSON.
 */
public final class Steps {
    private static final Duration PATIENCE = Duration.ofSeconds(40);
    private static final Duration POLL = Duration.ofMillis(100);
    private static final int GROUP_PARTITIONS = 4;
    private static final int TRANSACTION_PARTITIONS = 3;

    /** What commits-before commits and commits-after goes on from, by partition. */
    private static final Map<Integer, Long> COMMITTED = new TreeMap<>(Map.of(0, 3L, 1, 7L));

    private final String bootstrap;
    private final String step;
    private final String prefix;
    private final String name;
    private final int count;

    private Steps(String bootstrap, String step, String prefix, int count) {
        this.bootstrap = bootstrap;
        this.step = step;
        this.prefix = prefix;
        this.name = prefix + "-" + step;
        this.count = count;
    }

    public static void main(String[] arguments) {
        Steps steps = new Steps(arguments[0], arguments[1], arguments[2], Integer.parseInt(arguments[3]));
        try {
            steps.run();
        } catch (Throwable failure) {
            steps.print("failed", false, Map.of("error", failure.toString()));
            failure.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    private void run() throws Exception {
        switch (step) {
            case "group" -> group("classic");
            case "group848" -> group("consumer");
            case "commits-before" -> commitsBefore();
            case "commits-after" -> commitsAfter();
            case "transactions" -> transactions();
            case "ctp" -> consumeTransformProduce();
            default -> throw new IllegalArgumentException("unknown step " + step);
        }
    }

    // -- groups -------------------------------------------------------------------------------------------------------

    /** A member at work: polls, notes what it read, commits it; the fields may be looked at from outside. */
    private static final class Member extends Thread {
        private final KafkaConsumer<String, String> consumer;
        private final List<ConsumerRecord<String, String>> read = new ArrayList<>();
        private volatile Set<Integer> owned = Set.of();
        private volatile int reads;
        private volatile boolean leaving;
        private volatile Throwable failure;

        Member(KafkaConsumer<String, String> consumer) {
            this.consumer = consumer;
            setDaemon(true);
            start();
        }

        @Override
        public void run() {
            try (consumer) {
                while (!leaving) {
                    var batch = consumer.poll(POLL);
                    if (!batch.isEmpty()) {
                        consumer.commitSync();
                        batch.forEach(read::add);
                        reads = read.size();
                    }
                    owned = consumer.assignment().stream().map(TopicPartition::partition).collect(Collectors.toCollection(TreeSet::new));
                }
            } catch (Throwable problem) {
                failure = problem;
            }
        }

        void leave() throws InterruptedException {
            leaving = true;
            join(PATIENCE.toMillis());
        }
    }

    private void group(String protocol) throws Exception {
        createTopic(name, GROUP_PARTITIONS);
        Member first = new Member(member(name, protocol));
        phase("alone", List.of(first));
        Member second = new Member(member(name, protocol));
        phase("shared", List.of(first, second));
        second.leave();
        phase("alone again", List.of(first));
        first.leave();
        Set<List<Long>> distinct = new HashSet<>();
        int read = 0;
        for (Member each : List.of(first, second)) {
            for (ConsumerRecord<String, String> one : each.read) {
                distinct.add(List.of((long) one.partition(), one.offset()));
                read++;
            }
        }
        tell("sum", Map.of("read", read, "distinct", distinct.size(), "committed", committed(name)));
    }

    /** Waits for a settled assignment, writes, and waits until all of it was read and committed. */
    private void phase(String phase, List<Member> members) throws Exception {
        Set<Integer> all = IntStream.range(0, GROUP_PARTITIONS).boxed().collect(Collectors.toSet());
        until(phase + ": assignment", members, () -> {
            Set<Integer> together = new HashSet<>();
            members.forEach(each -> together.addAll(each.owned));
            int sum = members.stream().mapToInt(each -> each.owned.size()).sum();
            return together.equals(all) && sum == GROUP_PARTITIONS && members.stream().noneMatch(each -> each.owned.isEmpty());
        });
        List<Integer> before = members.stream().map(each -> each.reads).toList();
        write(name, phase, GROUP_PARTITIONS);
        int due = before.stream().mapToInt(Integer::intValue).sum() + GROUP_PARTITIONS * count;
        until(phase + ": records", members, () -> members.stream().mapToInt(each -> each.reads).sum() >= due);
        List<Integer> read = IntStream.range(0, members.size()).mapToObj(at -> members.get(at).reads - before.get(at)).toList();
        tell(phase, Map.of("owned", members.stream().map(each -> each.owned).toList(), "read", read));
    }

    private interface Condition {
        boolean holds();
    }

    private static void until(String what, List<Member> members, Condition condition) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.holds()) {
            for (Member each : members) {
                if (each.failure != null) {
                    throw new IllegalStateException(what, each.failure);
                }
            }
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(what + ": not in time");
            }
            Thread.sleep(10);
        }
    }

    // -- commits ------------------------------------------------------------------------------------------------------

    private void commitsBefore() throws Exception {
        String topic = prefix + "-commits";
        createTopic(topic, COMMITTED.size());
        write(topic, "kept", COMMITTED.size());
        try (var member = member(topic, "classic")) {
            take(member, COMMITTED.size() * count, new ArrayList<>());
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            COMMITTED.forEach((partition, offset) -> offsets.put(new TopicPartition(topic, partition), new OffsetAndMetadata(offset)));
            member.commitSync(offsets);
        }
        tell("committed", Map.of("offsets", committed(topic)));
    }

    private void commitsAfter() throws Exception {
        String topic = prefix + "-commits";
        tell("committed", Map.of("offsets", committed(topic)));
        int due = COMMITTED.size() * count - COMMITTED.values().stream().mapToInt(Long::intValue).sum();
        Map<Integer, Long> first = new TreeMap<>();
        Map<Integer, Integer> read = new TreeMap<>();
        try (var member = member(topic, "classic")) {
            for (ConsumerRecord<String, String> each : take(member, due, new ArrayList<>())) {
                first.putIfAbsent(each.partition(), each.offset());
                read.merge(each.partition(), 1, Integer::sum);
            }
        }
        tell("read", Map.of("first", first, "read", read));
    }

    // -- transactions -------------------------------------------------------------------------------------------------

    private void transactions() throws Exception {
        createTopic(name, TRANSACTION_PARTITIONS);
        try (var producer = producer(name)) {
            producer.initTransactions();
            for (String word : List.of("committed", "aborted", "later")) {
                producer.beginTransaction();
                send(producer, name, word, TRANSACTION_PARTITIONS);
                if (word.equals("aborted")) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
        }
        words("read_committed");
        words("read_uncommitted");
    }

    /** Tells how many records of each word are read until those of the last transaction are all there. */
    private void words(String isolation) {
        Map<String, Integer> words = new TreeMap<>(Map.of("committed", 0, "aborted", 0, "later", 0));
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        try (var reader = reader(name, TRANSACTION_PARTITIONS, isolation)) {
            while (words.get("later") < TRANSACTION_PARTITIONS * count) {
                reader.poll(POLL).forEach(each -> words.merge(each.value().split("-")[0], 1, Integer::sum));
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException(isolation + ": " + words);
                }
            }
        }
        tell(isolation, words);
    }

    /** The first worker is left in the middle of a transaction; the second has its transactional id and goes on. */
    private void consumeTransformProduce() throws Exception {
        String output = name + "-out";
        createTopic(name, 2);
        createTopic(output, 2);
        write(name, "in", 2);
        try (var first = producer(name);
                var second = producer(name)) {
            first.initTransactions();
            try (var consumer = member(name, "classic")) {
                List<ConsumerRecord<String, String>> kept = new ArrayList<>();
                transform(first, consumer, take(consumer, count, kept), output);
                first.commitTransaction();
                tell("first", Map.of("processed", count));
                transform(first, consumer, take(consumer, count / 2, kept), output);
                second.initTransactions();
                tell("fenced", Map.of("error", commitError(first)));
            }
            try (var consumer = member(name, "classic")) {
                List<ConsumerRecord<String, String>> kept = new ArrayList<>();
                for (int some : new int[] {count / 2, count - count / 2}) {
                    transform(second, consumer, take(consumer, some, kept), output);
                    second.commitTransaction();
                }
            }
            first.close(Duration.ZERO);
        }
        tell("committed", Map.of("offsets", committed(name)));
        try (var reader = reader(output, 2, "read_committed")) {
            List<String> values = new ArrayList<>();
            take(reader, 2 * count, new ArrayList<>()).forEach(each -> values.add(each.value()));
            reader.poll(Duration.ofSeconds(1)).forEach(each -> values.add(each.value()));
            tell("output", Map.of("read", values.size(), "distinct", new HashSet<>(values).size()));
        }
    }

    /** Begins a transaction with the transformed records of a batch and the offsets behind them, and does not end it. */
    private static void transform(
            KafkaProducer<String, String> producer,
            KafkaConsumer<String, String> consumer,
            List<ConsumerRecord<String, String>> batch,
            String output)
            throws Exception {
        producer.beginTransaction();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (ConsumerRecord<String, String> each : batch) {
            sent.add(producer.send(new ProducerRecord<>(output, each.partition(), null, "out of " + each.value())));
            offsets.put(new TopicPartition(each.topic(), each.partition()), new OffsetAndMetadata(each.offset() + 1));
        }
        for (Future<RecordMetadata> each : sent) {
            each.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
    }

    private static String commitError(KafkaProducer<String, String> producer) {
        try {
            producer.commitTransaction();
        } catch (RuntimeException refused) {
            return refused.toString();
        }
        return "";
    }

    // -- clients ------------------------------------------------------------------------------------------------------

    private void createTopic(String topic, int partitions) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
        }
    }

    private Map<Integer, Long> committed(String group) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            Map<Integer, Long> offsets = new TreeMap<>();
            admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
                    .forEach((partition, offset) -> offsets.put(partition.partition(), offset.offset()));
            return offsets;
        }
    }

    private KafkaProducer<String, String> producer(String transactionalId) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        if (transactionalId != null) {
            settings.put("transactional.id", transactionalId);
        }
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    private KafkaConsumer<String, String> consumer(Map<String, Object> own) {
        Map<String, Object> settings = new HashMap<>(own);
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("fetch.max.wait.ms", "100");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    private KafkaConsumer<String, String> member(String topic, String protocol) {
        Map<String, Object> settings = new HashMap<>(Map.of("group.id", topic, "group.protocol", protocol));
        if (protocol.equals("classic")) {
            settings.put("heartbeat.interval.ms", "200"); // so that a member hears of a rebalance soon
        }
        KafkaConsumer<String, String> consumer = consumer(settings);
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    private KafkaConsumer<String, String> reader(String topic, int partitions, String isolation) {
        KafkaConsumer<String, String> consumer = consumer(Map.of("isolation.level", isolation));
        consumer.assign(IntStream.range(0, partitions).mapToObj(partition -> new TopicPartition(topic, partition)).toList());
        return consumer;
    }

    private void write(String topic, String word, int partitions) throws Exception {
        try (var producer = producer(null)) {
            send(producer, topic, word, partitions);
        }
    }

    private void send(KafkaProducer<String, String> producer, String topic, String word, int partitions) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int partition = 0; partition < partitions; partition++) {
            for (int number = 0; number < count; number++) {
                sent.add(producer.send(new ProducerRecord<>(topic, partition, null, word + "-" + partition + "-" + number)));
            }
        }
        for (Future<RecordMetadata> each : sent) {
            each.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        }
    }

    /** Exactly so many records; what a poll brought beyond them stays in `kept` for the next call. */
    private static List<ConsumerRecord<String, String>> take(
            KafkaConsumer<String, String> consumer, int count, List<ConsumerRecord<String, String>> kept) {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (kept.size() < count) {
            consumer.poll(POLL).forEach(kept::add);
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(kept.size() + " of " + count + " records");
            }
        }
        List<ConsumerRecord<String, String>> taken = new ArrayList<>(kept.subList(0, count));
        kept.subList(0, count).clear();
        return taken;
    }

    // -- lines --------------------------------------------------------------------------------------------------------

    private void tell(String phase, Map<?, ?> details) {
        print(phase, true, details);
    }

    private void print(String phase, boolean ok, Map<?, ?> details) {
        Map<String, Object> line = new TreeMap<>(Map.of("step", step, "phase", phase, "ok", ok, "details", details));
        System.out.println(json(line));
    }

    private static String json(Object value) {
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream()
                    .map(entry -> json(entry.getKey().toString()) + ":" + json(entry.getValue()))
                    .collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof Iterable<?> items) {
            List<String> texts = new ArrayList<>();
            items.forEach(item -> texts.add(json(item)));
            return "[" + String.join(",", texts) + "]";
        }
        if (value instanceof String text) {
            return "\"" + text.replaceAll("[\\p{Cntrl}]", " ").replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
        }
        return String.valueOf(value);
    }
}
