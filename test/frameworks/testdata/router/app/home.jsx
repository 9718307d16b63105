export default function Home() {
  return <h1>first words</h1>;
}
